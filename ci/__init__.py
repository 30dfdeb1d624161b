"""Tools of `make` and CI: they fetch real servers, run the demo, and write generated parts of docs/ and the chart."""
