"use strict";
// What marks of charts say, to pointers, fingers and keys; which network is selected; what is shown.
// Without it a page says the same in tables and titles. Texts of a run are only ever set as text.
(() => {
  const NEAR = 22; // CSS pixels from a mark at which it is meant
  const HINT = "Point at a mark or touch it";
  const KEYS = ", or reach it with Tab and the arrow keys; a click or Enter selects a network";
  const STEPS = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowDown: ["y", 1], ArrowUp: ["y", -1] };
  const charts = [];

  function make(name, kind, text = "") {
    const made = document.createElement(name);
    made.className = kind;
    made.textContent = text;
    return made;
  }

  function circle(mark, kind, radius) {
    const made = document.createElementNS(mark.node.namespaceURI, "circle");
    for (const [name, value] of Object.entries({ class: kind, cx: mark.x, cy: mark.y, r: radius }))
      made.setAttribute(name, value);
    return made;
  }

  // The decisions of a network in words: what the page says that its numbers stand for.
  function decisions(network) {
    const cut = network.lastIndexOf(" ");
    const key = [...document.querySelectorAll("[data-key]")].find((e) => e.dataset.key === network.slice(0, cut));
    const list = make("ul", "decisions");
    const rows = key ? key.querySelectorAll("tbody tr") : [];
    network.slice(cut + 1).split(".").forEach((number, place) => {
      const block = rows[place] && rows[place].querySelectorAll("li")[Number(number)];
      if (block) list.append(make("li", "", `${rows[place].querySelector("th").textContent}: ${block.textContent}`));
    });
    return list;
  }

  // Marks every mark and row of a network, and takes the mark from all others; "" for none.
  function select(network, where) {
    for (const node of document.querySelectorAll("tr[data-network]")) {
      const is = node.dataset.network === network;
      node.classList.toggle("picked", is);
      if (is) node.setAttribute("aria-current", "true");
      else node.removeAttribute("aria-current");
    }
    for (const chart of charts) chart.select(network, chart === where);
  }

  class Chart {
    constructor(svg) {
      this.svg = svg;
      this.marks = [...svg.querySelectorAll(".point")].map((node) => {
        const [x, y] = node.dataset.at.split(" ").map(Number);
        return { node, x, y, network: node.dataset.network || "", text: node.querySelector("title").textContent };
      });
      this.kept = null;
      this.said = make("p", "readout");
      this.panel = make("div", "chosen");
      this.panel.hidden = true;
      svg.setAttribute("role", "group"); // an image has nothing in it that can be reached
      for (const mark of this.marks) {
        mark.node.setAttribute("role", mark.network ? "button" : "img");
        if (mark.network) mark.node.setAttribute("aria-pressed", "false");
        mark.node.setAttribute("tabindex", "-1");
      }
      this.reachable();
      const legend = svg.nextElementSibling;
      (legend && legend.matches(".legend") ? legend : svg).after(this.said, this.panel);
      svg.addEventListener("pointermove", (event) => this.tell(this.nearest(event)));
      svg.addEventListener("pointerleave", () => this.tell(null));
      svg.addEventListener("click", (event) => this.clicked(this.nearest(event)));
      const around = svg.parentElement; // a drawing that listens for the focus would take it itself
      around.addEventListener("focusin", (event) => this.tell(this.at(event.target)));
      around.addEventListener("focusout", () => this.tell(null));
      around.addEventListener("keydown", (event) => this.key(event));
    }

    shown() {
      return this.marks.filter((mark) => !mark.node.closest(".off"));
    }

    ordered(along) {
      const other = along === "x" ? "y" : "x";
      return this.shown().sort((a, b) => a[along] - b[along] || a[other] - b[other]);
    }

    at(node) {
      return this.marks.find((mark) => mark.node === node) || null;
    }

    nearest(event) {
      const box = this.svg.getBoundingClientRect();
      const scale = box.width / this.svg.viewBox.baseVal.width;
      const far = (m) => Math.hypot(event.clientX - box.left - m.x * scale, event.clientY - box.top - m.y * scale);
      const found = this.shown().reduce((a, b) => (a && far(a) <= far(b) ? a : b), null);
      return found && far(found) <= NEAR ? found : null;
    }

    // Says a mark; without one, what is focused, was kept or can be done.
    tell(mark) {
      const now = mark || this.at(document.activeElement) || this.kept;
      if (this.cursor) this.cursor.remove();
      this.cursor = now && now.node.appendChild(circle(now, "cursor", 9));
      const hint = `${HINT}${this === charts[0] ? KEYS : ""}.`; // how, it is said once
      this.said.textContent = now ? now.text : hint;
      this.said.classList.toggle("hint", !now);
    }

    clicked(mark) {
      if (!mark) return;
      this.focus(mark);
      if (!mark.network) this.kept = this.kept === mark ? null : mark;
      else if (mark.node.getAttribute("aria-pressed") === "true") select("", this);
      else {
        this.kept = mark;
        select(mark.network, this);
      }
      this.tell(mark);
    }

    select(network, is_here) {
      if (this.kept && this.kept.network !== network && this.kept.network) this.kept = null;
      for (const mark of this.marks.filter((each) => each.network)) {
        const is = mark.network === network;
        mark.node.classList.toggle("picked", is);
        mark.node.setAttribute("aria-pressed", String(is));
        if (mark.halo) mark.halo.remove();
        mark.halo = is ? mark.node.appendChild(circle(mark, "halo", 6)) : null;
        if (is && !this.kept) this.kept = mark;
      }
      this.panel.hidden = !network || !is_here;
      this.panel.replaceChildren();
      if (!this.panel.hidden) {
        const clear = make("button", "", "Clear the selection");
        clear.type = "button";
        clear.addEventListener("click", () => {
          this.focus(this.kept);
          select("", this);
        });
        this.panel.append(make("p", "", "Selected, and marked wherever it is on this page: "));
        this.panel.lastChild.append(make("b", "", this.kept.text));
        this.panel.append(decisions(network), clear);
      }
      this.tell(null);
    }

    focus(mark) {
      for (const each of this.marks) each.node.setAttribute("tabindex", each === mark ? "0" : "-1");
      mark.node.focus({ preventScroll: true });
    }

    // One mark of a chart is reached by Tab, whatever is hidden.
    reachable() {
      const marks = this.ordered("x");
      if (!marks.length || marks.some((mark) => mark.node.getAttribute("tabindex") === "0")) return;
      for (const each of this.marks) each.node.setAttribute("tabindex", each === marks[0] ? "0" : "-1");
    }

    key(event) {
      const mark = this.at(document.activeElement);
      if (!mark || event.altKey || event.ctrlKey || event.metaKey) return;
      const [along, step] = STEPS[event.key] || ["x", 0];
      const marks = this.ordered(along);
      const to = { Home: marks[0], End: marks.at(-1) }[event.key] || (step && marks[marks.indexOf(mark) + step]);
      if (to) this.focus(to);
      else if (event.key === "Enter" || event.key === " ") this.clicked(mark);
      else if (event.key === "Escape") {
        this.kept = null;
        select("", this);
      } else if (!step) return;
      event.preventDefault();
    }
  }

  // A legend of buttons, which hide what they name in all charts of a section.
  function toggles(svg) {
    const legend = svg.nextElementSibling;
    if (!legend || !legend.matches(".legend")) return;
    const groups = svg.querySelectorAll(".group");
    [...legend.children].forEach((item, number) => {
      const button = make("button", "");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.append(...item.childNodes);
      item.append(button);
      button.group = groups[number];
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        const around = svg.closest("section") || document;
        for (const each of around.querySelectorAll(".legend button"))
          if (each.textContent === button.textContent) {
            each.setAttribute("aria-pressed", String(on));
            each.group.classList.toggle("off", !on);
          }
        for (const chart of charts) chart.reachable();
      });
    });
  }

  for (const svg of document.querySelectorAll("svg.chart")) {
    toggles(svg);
    if (svg.querySelector(".point")) charts.push(new Chart(svg));
  }
  for (const chart of charts) chart.tell(null);
})();
