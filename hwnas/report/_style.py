"""The style sheet of the report. Colours are variables, so that a test can compute contrasts."""

LIGHT = {
    "paper": "#ffffff",
    "card": "#f6f8fa",
    "ink": "#1b1f24",
    "soft": "#57606a",
    "line": "#d0d7de",
    "good": "#1a7f37",
    "warn": "#953800",
    "bad": "#cf222e",
    "c0": "#0969da",
    "c1": "#bc4c00",
    "c2": "#1a7f37",
    "c3": "#8250df",
    "rest": "#6e7781",
}
"""Colours by name: paper and card lie below; ink, soft, good, warn and bad are text; others are drawn."""

DARK = {
    "paper": "#0d1117",
    "card": "#161b22",
    "ink": "#e6edf3",
    "soft": "#9aa5b1",
    "line": "#30363d",
    "good": "#3fb950",
    "warn": "#f0883e",
    "bad": "#ff7b72",
    "c0": "#58a6ff",
    "c1": "#f0883e",
    "c2": "#3fb950",
    "c3": "#bc8cff",
    "rest": "#8b949e",
}
"""The same for readers who prefer dark."""

_RULES = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:62rem;padding:1.25rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.25;margin:.2rem 0}h2{font-size:1.25rem;margin:2.4rem 0 .6rem}
h3{font-size:1rem;margin:1.2rem 0 .4rem}p{margin:.5rem 0}
.lead,.fine,figcaption{color:var(--soft)}.fine,figcaption{font-size:.85rem}
.warn{color:var(--warn);font-weight:700}.good{color:var(--good);font-weight:700}.bad{color:var(--bad);font-weight:700}
.cards{display:grid;margin:.7rem 0;gap:.7rem;
grid-template-columns:repeat(auto-fit,minmax(min(100%,9.5rem),1fr))}
.card,.promise,.stage{background:var(--card);border:1px solid var(--line);
border-radius:.5rem;padding:.7rem .9rem}
.card b{display:block;font-size:1.25rem;line-height:1.3}.card span{color:var(--soft);font-size:.85rem}
.promises{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:.7rem}
.promise{border-left:.35rem solid var(--rest)}.promise.kept{border-left-color:var(--good)}
.promise.open{border-left-color:var(--warn)}.promise.broken{border-left-color:var(--bad)}
.promise p{margin:.2rem 0}.said{font-size:1.1rem;font-weight:600}
.verdict{border:2px solid var(--rest);border-radius:.5rem;padding:.5rem .9rem;margin:.7rem 0}
.verdict.kept{border-color:var(--good)}.verdict.open{border-color:var(--warn)}.verdict.broken{border-color:var(--bad)}
.verdict p{margin:.2rem 0;font-size:1.1rem}.verdict ul{margin:.3rem 0;padding-left:1.2rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1.2rem}
figure{margin:0 0 .8rem;min-width:0}.chart{width:100%;max-width:34rem;height:auto;display:block}
table{border-collapse:collapse;width:100%;font-size:.9rem;margin:.5rem 0}
th,td{text-align:left;padding:.4rem .7rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top}
thead th{color:var(--soft);font-weight:600}th{font-weight:600}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
th,td{overflow-wrap:normal}td.n{white-space:nowrap}tbody th,code{overflow-wrap:anywhere}
code,pre{font:.85rem/1.5 ui-monospace,monospace}
pre{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.8rem;
white-space:normal}
pre div{padding-left:1.5rem;text-indent:-1.5rem}pre span{display:inline-block;max-width:100%;text-indent:0}
details{margin:.6rem 0}summary{cursor:pointer;color:var(--soft)}
.grid{stroke:var(--line)}.level{stroke:var(--soft);stroke-dasharray:5 4}
.tick,.note{fill:var(--soft);font-size:11px}.axis{fill:var(--ink);font-size:12px}
.path{fill:none;stroke-width:2}.broken{stroke-dasharray:4 3}
.mark{stroke-width:1.5}.whisker{stroke-width:1;opacity:.6}.ring{fill:none;stroke-width:2.5}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f-none{fill:var(--paper)}
.legend{margin:.2rem 0;font-size:.85rem}.legend span{margin-right:1rem;display:inline-block}
.legend svg{width:1.1rem;height:.8rem;margin-right:.35rem}
button{font:inherit;color:inherit;background:none;border:1px solid var(--rest);border-radius:.4rem;
padding:.2rem .6rem;margin:.15rem 0;cursor:pointer}
.legend button[aria-pressed=false]{color:var(--soft);text-decoration:line-through}
.off{display:none}.point:focus{outline:none}.point[role]{cursor:pointer}
.cursor,.halo{fill:none;stroke:var(--ink);stroke-width:1.5}.halo{stroke-width:3}
.readout{min-height:3em;margin:.3rem 0;font-size:.9rem}.hint{color:var(--soft)}
.chosen{background:var(--card);border:1px solid var(--line);border-radius:.5rem;
padding:.5rem .9rem;margin:.3rem 0 .6rem;font-size:.9rem}.chosen[hidden]{display:none}
.decisions{margin:.4rem 0;padding-left:1.1rem;columns:14rem}td ol{margin:0;padding-left:1.4rem}
.picked>th::before{content:"◆ "}.picked>th,.picked>td{background:var(--card)}
a{color:var(--c0)}a:not([href]){color:inherit}form tbody th{min-width:9rem}
input[type=checkbox]{width:1.2rem;height:1.2rem;vertical-align:middle}
:focus-visible{outline:2px solid var(--ink);outline-offset:2px}
.b0{background:var(--c0)}.b1{background:var(--c1)}.b2{background:var(--c2)}.b3{background:var(--c3)}
.b-rest{background:var(--rest)}.b-warn{background:var(--warn)}.b-bad{background:var(--bad)}.b-good{background:var(--good)}
.bar{display:block;height:.5rem;border-radius:.25rem;background:var(--line);overflow:hidden}
.bar i{display:block;height:100%}
.skyline{display:flex;align-items:flex-end;height:8rem;border-bottom:1px solid var(--line)}
.strip{display:flex;height:1.1rem}
.skyline i,.strip i{border-right:1px solid var(--paper);min-width:0}.strip i{height:100%}
.strip-name{display:flex;justify-content:space-between;font-size:.85rem;color:var(--soft);margin-top:.5rem;gap:1rem}
.stages{list-style:none;padding:0;margin:1rem 0;display:grid;gap:.6rem;
grid-template-columns:repeat(auto-fill,minmax(min(100%,18rem),1fr))}
.stage h3{margin:0 0 .3rem;display:flex;justify-content:space-between;gap:.6rem}
.stage h3 i{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin-right:.45rem}
.stage h3 small{color:var(--soft);font-weight:400;white-space:nowrap}
.block{border-top:1px solid var(--line);padding:.35rem 0;font-size:.9rem}
.block div{display:flex;justify-content:space-between;gap:.8rem}
.block div span:last-child{color:var(--soft);white-space:nowrap;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}.matrix{width:auto;font-size:.8rem}
.matrix thead th{vertical-align:bottom;text-align:center}
.matrix thead span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:9rem}
.matrix td{position:relative;min-width:2.1rem;padding:.25rem;text-align:center}
.matrix td i{position:absolute;inset:1px;border-radius:2px}.matrix td b{position:relative;font-weight:400}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.5rem,1fr));gap:.8rem}
.pictures img{width:6rem;height:6rem;object-fit:contain;object-position:left;display:block;
image-rendering:pixelated}
.wide-ones{grid-template-columns:repeat(auto-fill,minmax(20rem,1fr))}
.wide-ones img{width:100%;max-width:22rem;height:auto;image-rendering:auto}
@media (max-width:40rem){body{padding:.9rem}
table,thead,tbody,tr,th,td{display:block}thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
tr{border-bottom:1px solid var(--line);padding:.4rem 0}
th,td{border:0;padding:.1rem 0;overflow-wrap:anywhere}td.n{white-space:normal}
td[data-name]{display:flex;justify-content:space-between;gap:1rem;text-align:right}
td[data-name=value]{text-align:left}td[data-name]::before{content:attr(data-name);color:var(--soft);text-align:left;flex:none;max-width:50%}
td[data-name=value]::before{display:none}}
@media (max-width:40rem){.matrix{display:table}.matrix tbody{display:table-row-group}
.matrix tr{display:table-row}.matrix tbody th{min-width:4.5rem;overflow-wrap:break-word}
.matrix thead{display:table-header-group;position:static;width:auto;height:auto;
clip-path:none;overflow:visible}
.matrix th,.matrix td{display:table-cell;padding:.25rem;border-bottom:1px solid var(--line)}}
@media print{.readout,.chosen{display:none}.stage,.promise,figure,tr{break-inside:avoid}}
"""


def style_sheet() -> str:
    """The text of the style element."""
    light, dark = (";".join(f"--{k}:{v}" for k, v in colours.items()) for colours in (LIGHT, DARK))
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}{_RULES}"
