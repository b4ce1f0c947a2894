// The live panel of an experiment. The kernel sends numbers; everything is drawn here.
// `chart.js` stands before this text in the module.

const SECONDS_SHOWN = 20;
const RATE_OVER_S = 2;

// The server's own settings, which its pages carry; null where the page is not Jupyter's (VS Code, a saved page).
function serverOf(page) {
  const node = page.getElementById("jupyter-config-data");
  try {
    const config = JSON.parse(node.textContent);
    const base = new URL((config.baseUrl || "/").replace(/\/?$/, "/"), page.location.origin);
    return base.origin === page.location.origin ? { base, token: config.token } : null;
  } catch {
    return null;
  }
}

async function interrupt(server, kernel) {
  const cookie = document.cookie.split("; ").find((each) => each.startsWith("_xsrf="));
  const headers = { "Content-Type": "application/json" };
  if (cookie) headers["X-XSRFToken"] = decodeURIComponent(cookie.slice("_xsrf=".length));
  if (server.token) headers.Authorization = `token ${server.token}`;
  const url = new URL(`api/kernels/${encodeURIComponent(kernel)}/interrupt`, server.base);
  const answer = await fetch(url, { method: "POST", headers, credentials: "same-origin", body: "{}" });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
}

const BY_HAND = "To stop and keep what there is, interrupt the kernel (■, or Kernel → Interrupt Kernel).";

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// What is known of the experiment, whether a view shows it or not.
class Course {
  constructor(model) {
    this.model = model;
    this.points = new Map();
    this.samples = [];
    this.streams = new Map();
    this.views = new Set();
    for (const point of model.get("outline").points || []) this.take(point);
    this.take(model.get("point"));
    model.on("change:point", () => { this.take(model.get("point")); this.tell("points"); });
    model.on("change:trial", () => {
      const { name, place } = model.get("trial");
      if (this.under !== `${place} ${name}`) this.samples = [];
      this.under = `${place} ${name}`;
      this.tell("trial");
    });
    model.on("msg:custom", (numbers) => {
      this.samples.push(numbers);
      const from = numbers.t - SECONDS_SHOWN;
      this.samples = this.samples.filter((sample) => sample.t >= from);
      if (model.get("outline").stream) this.stream(numbers);
      this.tell("numbers");
    });
  }
  take(changed) {
    for (const point of [changed || []].flat())
      for (const [panel, series, x] of point.at || [])
        this.points.set(`${panel} ${series} ${x}`, { low: null, high: null, bad: [], ...point, panel, series, x });
  }
  // A timeline: what is answered and what fails a second, as it comes.
  stream(numbers) {
    const [[panel] = [0]] = this.model.get("trial").at || [];
    const before = this.samples.at(-2);
    const since = numbers.t - (before ? before.t : 0);
    if (since <= 0) return;
    for (const [series, value] of [[0, this.rates().at(-1)], [1, (numbers.f - (before ? before.f : 0)) / since]]) {
      const key = `${panel} ${series}`;
      if (!this.streams.has(key)) this.streams.set(key, { panel, series, curve: [] });
      const { curve } = this.streams.get(key);
      if (curve.length && curve.at(-1)[0] > numbers.t) curve.length = 0; // played again
      curve.push([numbers.t, value]);
    }
    this.tell("points");
  }
  tell(what) {
    for (const view of this.views) view(what);
  }
  // Answers a second over the last seconds, at each sample: from the trial's start where that is nearer.
  rates() {
    return this.samples.map((sample) => {
      const earlier = this.samples.findLast((each) => each.t <= sample.t - RATE_OVER_S);
      const since = earlier ?? (sample.t < SECONDS_SHOWN ? { t: 0, n: 0 } : this.samples[0]);
      return sample.t > since.t ? (sample.n - since.n) / (sample.t - since.t) : 0;
    });
  }
}

function spark(values, look) {
  const node = svg("svg", { class: `spark s${look}`, viewBox: "0 0 190 26", preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const [row, list] of values.entries()) {
    const known = list.filter((value) => value !== null);
    const most = Math.max(...values.flat().filter((value) => value !== null), 1e-9);
    const path = known.map((value, at) => `${((at / Math.max(1, known.length - 1)) * 190).toFixed(1)} ${(24 - (value / most) * 22).toFixed(1)}`);
    if (path.length > 1) node.append(svg("path", { d: "M" + path.join("L"), class: row ? "limit" : "path", "vector-effect": "non-scaling-stroke" }));
  }
  return node;
}

function render(course, el) {
  const { model } = course;
  const outline = model.get("outline");
  const server = serverOf(document);
  const title = html("h4", {}, outline.title);
  const status = html("p", { role: "status", "aria-live": "polite" });
  const hint = html("p", { role: "alert" });
  const button = html("button", { type: "button", ...OWN_KEYS }, "Stop and keep");
  const bar = html("progress", { max: "1", value: "0", "aria-label": "planned time that is over" });
  const counts = html("p");
  const chart = svg("svg", { role: "img" });
  const now = html("div", { class: "now", role: "group", "aria-label": "the trial under way, over its last seconds" });
  const drawn = html("div", { class: "drawn" }, chart, legend(outline));
  const root = html("section", { class: "lab-live", "aria-label": `Live: ${outline.title}` },
    html("div", { class: "top" }, html("div", {}, title, status), server && model.get("kernel_id") ? button : ""),
    bar, counts, hint, html("div", { class: "parts" }, drawn, now));
  if (!server || !model.get("kernel_id")) hint.textContent = BY_HAND;
  let asked = 0;
  button.addEventListener("click", async () => {
    asked += 1;
    button.disabled = asked > 1;
    button.textContent = asked > 1 ? "Stopping …" : "Stop at once";
    try {
      await interrupt(server, model.get("kernel_id"));
      if (asked === 1) hint.textContent = "Stopping after this trial. Press again to stop at once; what is measured is kept.";
    } catch (error) {
      asked = 0;
      button.disabled = false;
      button.textContent = "Stop and keep";
      hint.textContent = `The server did not take it (${error.message}). ${BY_HAND}`;
    }
  });

  function drawPoints() {
    const points = [...course.points.values()];
    const here = model.get("trial").at || [];
    drawChart(chart, outline, points, { here, curves: [...course.streams.values()], width: Math.max(300, Math.round(drawn.clientWidth) || 640) });
    const told = points.filter((point) => point.y !== null).map((point) => inWords(outline, point));
    chart.setAttribute("aria-label", `${outline.title}, so far: ${told.join("; ") || "no point yet"}.`);
  }
  function drawTrial() {
    const trial = model.get("trial");
    status.textContent = trial.name ? `Trial ${trial.place} of ${trial.trials}: ${trial.name}` : "Starting …";
    if (trial.stopping) hint.textContent = "Stopping after this trial; a further interrupt stops at once. What is measured is kept.";
    const redone = trial.redone ? `, ${trial.redone} to make up for invalid ones` : "";
    counts.textContent = `${trial.done || 0} done, ${trial.valid || 0} valid${redone}; about ${clock(trial.left_s || 0)} left`;
    drawNumbers();
  }
  function drawNumbers() {
    const trial = model.get("trial");
    const last = course.samples.at(-1);
    const spent = Math.min(last ? last.t : 0, trial.planned_s || 0);
    const left = Math.max(0, (trial.left_s || 0) - spent);
    const all = (trial.over_s || 0) + (trial.left_s || 0);
    bar.value = all ? 1 - left / all : 0;
    bar.textContent = `${Math.round(100 * bar.value)} %`;
    counts.textContent = counts.textContent.replace(/about .* left$/, `about ${clock(left)} left`);
    const rates = course.rates();
    const [p50, p99, flying] = ["p50", "p99", "q"].map((name) => course.samples.map((sample) => sample[name]));
    const row = (name, value) => [html("dt", {}, name), html("dd", {}, value)];
    now.replaceChildren(html("dl", {},
      ...row("rate", `${figure(rates.at(-1))} req/s`), spark([rates], 0),
      ...row("p50", `${figure(p50.at(-1))} ms`), ...row("p99", `${figure(p99.at(-1))} ms`), spark([p50, p99], 1),
      ...row("in flight", figure(flying.at(-1))), spark([flying], 2),
      ...(last && last.f ? row("failed", figure(last.f)) : [])));
  }
  const show = (what) => {
    if (what !== "numbers") drawPoints();
    if (what === "trial") drawTrial();
    if (what === "numbers") drawNumbers();
  };
  el.replaceChildren(root);
  course.views.add(show);
  show("trial");
  const resized = new ResizeObserver(() => drawPoints());
  resized.observe(drawn);
  return () => { course.views.delete(show); resized.disconnect(); };
}

export default () => {
  let course;
  return {
    initialize({ model }) { course = new Course(model); },
    render({ model, el }) { course ??= new Course(model); return render(course, el); },
  };
};
