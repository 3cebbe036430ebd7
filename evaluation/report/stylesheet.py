"""How the report looks: one narrow column, dark on white, on a screen and on paper."""

STYLESHEET = """
body {
  max-width: 46rem; margin: 3rem auto; padding: 0 1.25rem;
  font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
  color: #1b1f24; background: #fff; font-variant-numeric: tabular-nums;
}
header p { margin: 0; color: #5b6570; font-size: .875rem; overflow-wrap: anywhere; }
header h1 { font-size: 1.5rem; line-height: 1.35; font-weight: 600; margin: .5rem 0 1.5rem; }
h2 { font-size: 1.0625rem; font-weight: 600; margin: 2.75rem 0 .75rem; }
p { margin: .5rem 0; }
.note { color: #5b6570; font-size: .8125rem; margin: .3rem 0; }
.summary dl { display: flex; flex-wrap: wrap; gap: .9rem 2.25rem; margin: 0; }
.summary dl div { display: flex; flex-direction: column-reverse; }
.summary dt { color: #5b6570; font-size: .8125rem; }
.summary dd { margin: 0; font-size: 1.25rem; font-weight: 600; white-space: nowrap; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; line-height: 1.35; }
th, td { padding: .32rem .5rem; text-align: right; vertical-align: baseline; font-weight: 400; }
th:first-child { text-align: left; padding-left: .4rem; }
td, th:first-child, [data-figure$=".codec"] { white-space: nowrap; }
thead th {
  color: #5b6570; font-size: .8125rem; vertical-align: bottom; border-bottom: 1px solid #1b1f24;
}
tbody tr + tr > * { border-top: 1px solid #e6e9ec; }
tr.model > * { font-weight: 700; background: #eef2f7; }
tr.order0 > * { color: #5b6570; font-style: italic; }
.names th:first-child { white-space: normal; overflow-wrap: anywhere; }
figure { margin: 0 0 2rem; break-inside: avoid; }
figure svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figure svg text {
  font-family: system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif !important;
}
figcaption { color: #5b6570; font-size: .875rem; margin-top: .4rem; }
.rules dl, .settings dl { margin: 0; font-size: .875rem; }
.rules dl div, .settings dl div {
  display: grid; grid-template-columns: 13rem 1fr; gap: 1rem; padding: .15rem 0;
}
.rules dt, .settings dt { color: #5b6570; overflow-wrap: anywhere; }
.rules dd, .settings dd { margin: 0; overflow-wrap: anywhere; }
.skipped td { white-space: normal; text-align: left; }
.skipped thead th { text-align: left; }
@media print {
  html { font-size: 13px; }
  body { max-width: none; margin: 0; }
  tr, .rules dl div, .settings dl div { break-inside: avoid; }
  h2 { break-after: avoid; }
  tr.model > * { print-color-adjust: exact; }
}
"""
