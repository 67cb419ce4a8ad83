"""Release and grade the course assignments: see chapters/for-instructors.md."""
