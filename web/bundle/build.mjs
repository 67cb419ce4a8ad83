// Builds web/static/ from the sources in src/ and the packages of package-lock.json.
import { build } from 'esbuild';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';

const OUT = '../static';
const common = { bundle: true, minify: true, format: 'iife', target: 'es2020', legalComments: 'none', metafile: true };

function packagesOf(results) {
  const names = results
    .flatMap(({ metafile }) => Object.keys(metafile.inputs))
    .map((path) => path.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1]);
  return [...new Set(names.filter(Boolean))].sort();
}

// The packages of Jupyter widgets and Lumino name their licence but do not carry its text.
const TEXTS = { '@jupyter-widgets': 'licences/jupyter-widgets.txt', '@lumino': 'licences/lumino.txt' };

function licenceOf(name) {
  const folder = `node_modules/${name}`;
  const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  const path = file ? `${folder}/${file}` : TEXTS[name.split('/')[0]];
  if (!path) throw new Error(`${name} brings no licence text: put one into licences/ and name it here`);
  return readFileSync(path, 'utf8').trim();
}

function notices(results) {
  const parts = packagesOf(results).map((name) => {
    const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'));
    return `${name} ${version} (${license})\n\n${licenceOf(name)}\n`;
  });
  return parts.join(`\n${'-'.repeat(78)}\n\n`);
}

async function emit(folder, entries) {
  mkdirSync(`${OUT}/${folder}`, { recursive: true });
  const results = await Promise.all(entries.map((options) => build({ ...common, ...options })));
  writeFileSync(`${OUT}/${folder}/LICENCES.txt`, notices(results));
}

rmSync(`${OUT}/widgets`, { recursive: true, force: true });
rmSync(`${OUT}/mathjax`, { recursive: true, force: true });
await emit('widgets', [
  {
    entryPoints: ['src/widgets.js'],
    outfile: `${OUT}/widgets/widgets.js`,
    // Both stand-ins do what ipywidgets asks of the originals at a tenth of the weight.
    alias: { 'sanitize-html': './src/sanitize.js', jquery: 'jquery/dist/jquery.slim.js' },
  },
  { entryPoints: ['src/widgets.css'], outfile: `${OUT}/widgets/widgets.css` },
]);
await emit('mathjax', [
  {
    entryPoints: ['src/mathjax.js'],
    outfile: `${OUT}/mathjax/mathjax.js`,
    // As MathJax's own compiler settings have it: a field that is only declared sets nothing.
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
  },
]);
cpSync('node_modules/mathjax-full/es5/output/chtml/fonts/woff-v2', `${OUT}/mathjax/fonts`, { recursive: true });

// The accessibility checker of tests/site, from the same lockfile.
const VENDOR = '../../tests/site/vendor';
mkdirSync(VENDOR, { recursive: true });
cpSync('node_modules/axe-core/axe.min.js', `${VENDOR}/axe.min.js`);
cpSync('node_modules/axe-core/LICENSE', `${VENDOR}/LICENSE-axe-core.txt`);
cpSync('node_modules/axe-core/LICENSE-3RD-PARTY.txt', `${VENDOR}/LICENSE-axe-core-3RD-PARTY.txt`);
