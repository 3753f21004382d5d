/** The page's style sheet: one for light and dark, no fonts or images from elsewhere. The palette is safe for the usual colour blindnesses. */
export const htmlStyle = `
:root { color-scheme: light dark; --ground: #ffffff; --panel: #f7f8fa; --ink: #1b2130; --soft: #5b6475; --rule: #dfe3ea; --grid: #e8ebf0;
  --best: #0b6e4f; --best-ground: #e3f4ec; --warn: #8a4b00; --warn-ground: #fff3dd; --warn-rule: #f0c983;
  --series-0: #0072b2; --series-1: #d55e00; --series-2: #009e73; --series-3: #b0479a; --series-4: #8a6d00; --series-5: #3f3fbf; --series-6: #c0392b; --series-7: #5d6d7e; }
@media (prefers-color-scheme: dark) { :root { --ground: #12151c; --panel: #1a1f29; --ink: #e7eaf0; --soft: #9aa4b5; --rule: #2d3442; --grid: #262c38;
  --best: #7fe0b5; --best-ground: #15382b; --warn: #ffcf85; --warn-ground: #3a2a10; --warn-rule: #6b4d1a;
  --series-0: #56b4e9; --series-1: #ff8a3d; --series-2: #3ddc97; --series-3: #e08bd0; --series-4: #e6c84a; --series-5: #9b9bff; --series-6: #ff7b6b; --series-7: #a9b7c6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 32px 24px 64px; }
section + section{margin-top:3rem}
section + section { margin-top: 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 17px; margin: 40px 0 10px; }
h3 { font-size: 14px; margin: 0 0 6px; font-weight: 600; }
p { margin: 4px 0; } .soft { color: var(--soft); }
.stand-in { margin: 18px 0 0; padding: 10px 14px; border: 1px solid var(--warn-rule); background: var(--warn-ground); color: var(--warn); border-radius: 8px; font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 14px; margin-top: 24px; }
.card { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 16px; }
.card .figure { font-size: 25px; font-weight: 650; letter-spacing: -0.02em; }
.card .who { font-weight: 600; }
.table-room { overflow-x: auto; border: 1px solid var(--rule); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 9px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { background: var(--panel); font-weight: 600; font-size: 12.5px; vertical-align: bottom; } th small { display: block; font-weight: 400; color: var(--soft); }
tr:last-child td { border-bottom: 0; } td:first-child, th:first-child { text-align: left; }
td.best { background: var(--best-ground); color: var(--best); font-weight: 650; } td.best::after { content: "★"; font-size: 10px; margin-left: 3px; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 8px; vertical-align: -1px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 4px 0 8px; font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(460px, 100%), 1fr)); gap: 18px; }
.chart { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 16px; min-width: 0; }
.chart.wide { margin-top: 18px; } svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
svg .tick { font-size: 11.5px; fill: var(--soft); font-variant-numeric: tabular-nums; } svg .axis-label { fill: var(--soft); }
svg .grid { stroke: var(--grid); stroke-width: 1; } svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .dot.on-hover { opacity: 0; } svg .dot.on-hover:hover { opacity: 1; }
svg .marker { stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 4 3; } svg .marker-label { font-size: 11.5px; font-weight: 600; }
svg .bar-label { font-weight: 600; } svg .bar-text { font-variant-numeric: tabular-nums; font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 0; font-size: 13.5px; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: 4px 0; padding-left: 20px; } code { font: 12.5px ui-monospace, "DejaVu Sans Mono", monospace; }
h3 + svg + h3 { margin-top: 14px; }
details { margin-top: 12px; } summary { cursor: pointer; font-weight: 600; }
@media print { .chart, .card, table { break-inside: avoid; } }
`
