export function state({layers,unit}) { unit=Math.min(unit,layers); return {bounds:{unit:layers},unit,layers,sentence:`${layers} layers, unit ${unit}.`}; }
function draw(s,width){ return canvas(width,80,s.sentence,rect(0,0,s.layers*40,50,{fill:color.accent}),text(4,70,"unit "+s.unit),arrow(100,60,200,70)); }
export default figure({state,draw,numbers:(s)=>table({caption:"c",head:["a","b"],rows:[["x",s.layers]],now:0})});
