// Sliders that ask what other settings would do. `chart.js` stands before this text in the module.
// The model has no view of its own: it looks for the picture with its number, and takes that one's place.

const THEORY = 2;

function levelText(control, value) {
  return typeof value === "number" ? `${figure(value, 4)} ${control.unit}`.trim() : value;
}

class Asking {
  constructor(model) {
    this.model = model;
    this.values = { ...model.get("asked").values };
    this.move = 0;
    this.busy = this.again = false;
    this.root = this.build();
    model.on("change:exact", () => this.answered());
    model.on("change:simulated", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.root);
    this.watch();
  }
  // Outputs come and go while a page is scrolled: wherever the picture stands, the sliders take its place.
  watch() {
    const place = () => {
      const node = document.querySelector(`[data-lab-what-if="${this.model.get("number")}"]`);
      if (node && node.firstChild !== this.root) node.replaceChildren(this.root);
    };
    let due = false;
    new MutationObserver(() => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => { due = false; place(); });
    }).observe(document.body, { childList: true, subtree: true });
    place();
  }
  build() {
    this.charts = this.model.get("charts").map((outline) => ({ outline, node: svg("svg", { role: "img" }), holder: null }));
    const sliders = html("div", { class: "sliders", role: "group", "aria-label": "settings" });
    for (const control of this.model.get("controls")) sliders.append(...this.control(control));
    this.told = html("p", { role: "status", "aria-live": "polite" });
    this.refined = html("p", { role: "status", "aria-live": "polite" });
    const parts = html("div", { class: "parts" });
    for (const chart of this.charts) {
      chart.holder = html("div", { class: "drawn" }, chart.node);
      parts.append(chart.holder);
    }
    return html("section", { class: "lab-live", "aria-label": "What if?" }, html("h4", {}, "What if?"),
      sliders, this.told, this.refined, parts, legend(this.charts[0].outline));
  }
  control(control) {
    const id = `lab-${this.model.get("number")}-${control.name}`;
    const label = html("label", { for: id }, control.label);
    const words = typeof control.levels[0] === "string";
    if (words) {
      const select = html("select", { id, ...OWN_KEYS }, ...control.levels.map((level) => html("option", { value: level }, level)));
      select.value = this.values[control.name];
      select.addEventListener("input", () => this.set(control.name, select.value));
      return [label, select];
    }
    const at = control.levels.indexOf(this.values[control.name]);
    const slider = html("input", { id, type: "range", min: 0, max: control.levels.length - 1, step: 1, value: at, ...OWN_KEYS });
    const shown = html("output", { for: id });
    const show = () => {
      const text = levelText(control, control.levels[Number(slider.value)]);
      shown.textContent = text;
      slider.setAttribute("aria-valuetext", text);
    };
    slider.addEventListener("input", () => { show(); this.set(control.name, control.levels[Number(slider.value)]); });
    show();
    return [label, slider, shown];
  }
  set(name, value) {
    this.values[name] = value;
    if (this.busy) { this.again = true; return; }
    this.ask();
  }
  ask() {
    this.busy = true;
    this.again = false;
    this.move += 1;
    this.since = performance.now();
    this.model.set("asked", { move: this.move, values: { ...this.values } });
    this.model.save_changes();
    this.late = setTimeout(() => { this.told.textContent = "The kernel is busy: it answers when its cell is over."; }, 1500);
  }
  answered() {
    clearTimeout(this.late);
    this.busy = false;
    this.draw();
    this.root.dataset.answered = this.move;
    this.root.dataset.answeredMs = (performance.now() - this.since).toFixed(1);
    if (this.again) this.ask();
  }
  draw() {
    const [exact, simulated] = [this.model.get("exact"), this.model.get("simulated")];
    const current = simulated && simulated.move === exact.move && simulated.move === this.move;
    this.told.textContent = exact.why ? `No curve: ${exact.why}.` : `Exact theory: ${exact.told}.`;
    this.refined.textContent = !this.move ? "Move a slider to simulate, too."
      : !current ? "Simulating …" : simulated.why ? `Not simulated: ${simulated.why}.` : `Simulated: ${simulated.told}.`;
    this.charts.forEach(({ outline, node, holder }, number) => {
      const own = (point) => Object.entries(point.only || {}).every(([name, value]) => this.values[name] === value);
      const told = [...outline.points.filter(own), ...(current ? [simulated.points[number]].filter(Boolean) : [])];
      const points = told.flatMap((point) => point.at.map(([panel, series, x]) => ({ low: null, high: null, bad: [], ...point, panel, series, x })));
      const curve = (exact.curves || [])[number] || [];
      const curves = curve.length ? [{ panel: 0, series: THEORY, curve, kind: "path" }] : [];
      drawChart(node, outline, points, { curves, here: [[0, 0, this.values.load]], width: Math.max(280, Math.round(holder.clientWidth) || 420) });
      const words = points.filter((point) => point.y !== null).map((point) => inWords(outline, point)).join("; ");
      node.setAttribute("aria-label", `${outline.title}. ${words || "Nothing was measured here"}. ${this.told.textContent} ${this.refined.textContent}`);
    });
  }
}

export default {
  initialize({ model }) { new Asking(model); },
};
