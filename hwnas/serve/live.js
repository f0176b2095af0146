"use strict";
// Keeps the list of runs as it is now. Texts of runs are only ever set as text.
(() => {
  const EVERY_MS = 2000;
  const body = document.querySelector("form tbody");
  const blank = document.querySelector("template").content.querySelector("tbody tr");
  const status = document.querySelector("[role=status]");
  const known = () => new Map([...body.rows].map((row) => [row.querySelector("input").value, row]));

  function set(node, name, value) {
    if (node[name] !== value) node[name] = value;
  }

  function fill(row, run) {
    const [choice, link] = [row.querySelector("input"), row.querySelector("a")];
    set(choice, "value", run.name);
    set(choice, "disabled", !run.address);
    choice.setAttribute("aria-label", `compare ${run.name}`);
    set(link, "textContent", run.name);
    if (run.address) link.setAttribute("href", run.address);
    else link.removeAttribute("href");
    for (const cell of row.querySelectorAll("td")) {
      const inner = cell.firstElementChild;
      set(inner, "textContent", run.cells[cell.dataset.name] ?? "");
      if (cell.dataset.name === "verdict") set(inner, "className", run.kind);
    }
  }

  function show(runs) {
    const rows = known();
    const names = new Set(runs.map((run) => run.name));
    for (const [name, row] of rows) if (!names.has(name)) row.remove();
    runs.forEach((run, place) => {
      const row = rows.get(run.name) ?? blank.cloneNode(true);
      fill(row, run);
      if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
    });
  }

  async function look() {
    try {
      if (!document.hidden) {
        const answer = await fetch("runs.json", { cache: "no-store" });
        if (!answer.ok) throw new Error(String(answer.status));
        show(await answer.json());
        set(status, "textContent", "");
      }
    } catch {
      set(status, "textContent", "hwnas serve does not answer: what is shown is no longer kept up to date.");
    }
    setTimeout(look, EVERY_MS);
  }

  setTimeout(look, EVERY_MS);
})();
