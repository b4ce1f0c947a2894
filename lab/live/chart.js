// Draws a chart in SVG from what `outline.py` says: axes, bands, limits, and points as they come.
// This text stands before panel.js or what_if.js in one module, so it exports nothing.

// JupyterLab's shortcuts would take Enter from a button and the arrows from a slider.
const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };
const MARKERS = ["circle", "square", "up", "diamond", "down", "plus", "cross"];

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function html(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function figure(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const rounded = Number(value.toPrecision(digits));
  return Math.abs(rounded) >= 1000 ? Math.round(rounded).toLocaleString("en") : String(rounded);
}

function marker(look, x, y, css, size = 4.5) {
  const d = size * 1.15;
  const paths = {
    up: `M${x} ${y - d}L${x + d} ${y + d}L${x - d} ${y + d}Z`,
    down: `M${x} ${y + d}L${x + d} ${y - d}L${x - d} ${y - d}Z`,
    diamond: `M${x} ${y - d * 1.2}L${x + d} ${y}L${x} ${y + d * 1.2}L${x - d} ${y}Z`,
    plus: `M${x - 2} ${y - d}h4v${d - 2}h${d - 2}v4h${2 - d}v${d - 2}h-4v${2 - d}h${2 - d}v-4h${d - 2}Z`,
    cross: `M${x - d} ${y - d}L${x} ${y - 2}L${x + d} ${y - d}L${x + 2} ${y}L${x + d} ${y + d}L${x} ${y + 2}L${x - d} ${y + d}L${x - 2} ${y}Z`,
  };
  const kind = MARKERS[look % MARKERS.length];
  if (kind === "circle") return svg("circle", { cx: x, cy: y, r: size, class: css });
  if (kind === "square")
    return svg("rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size, class: css });
  return svg("path", { d: paths[kind], class: css });
}

// A scale: from a value to a place on the screen, with its ticks.
function scaled(axis, low, high, from, to) {
  const turn = axis.scale === "log" ? Math.log : (value) => value;
  const [first, last] = [turn(low), turn(high)];
  const place = (value) => from + ((turn(value) - first) / (last - first || 1)) * (to - from);
  return Object.assign(place, { low, high });
}

function ticksOf(axis, low, high, most) {
  if (axis.scale === "names") return axis.ticks.map((name, at) => [at, name]);
  let ticks = axis.ticks;
  if (!ticks && axis.scale === "log") {
    ticks = [];
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade++)
      for (const digit of [1, 2, 5]) ticks.push(digit * 10 ** decade);
    ticks = ticks.filter((value) => value >= low * 0.999 && value <= high * 1.001);
    if (ticks.length > most) ticks = ticks.filter((value) => /^1/.test(value.toExponential()));
  } else if (!ticks) {
    const raw = (high - low) / Math.max(2, most);
    const decade = 10 ** Math.floor(Math.log10(raw || 1));
    const step = [1, 2, 5, 10].map((digit) => digit * decade).find((each) => each >= raw) || raw || 1;
    ticks = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step / 1000; value += step)
      ticks.push(Number(value.toPrecision(12)));
  }
  return ticks.map((value) => [value, figure(value, 4)]);
}

function extent(values, axis, room) {
  const known = values.filter((value) => Number.isFinite(value) && (axis.scale !== "log" || value > 0));
  if (axis.scale === "names") return [-0.6, axis.ticks.length - 0.4];
  if (axis.low !== undefined && axis.high !== undefined) return [axis.low, axis.high];
  if (!known.length) return axis.scale === "log" ? [1, 10] : [0, 1];
  const [low, high] = [Math.min(...known), Math.max(...known)];
  if (axis.scale === "log") return [low / room, high * room];
  return [axis.low ?? Math.min(0, low), axis.high ?? (high * 1.06 || 1)];
}

function spans(outline, points, curves) {
  const xs = [...points.map((point) => point.x), ...(outline.x.scale === "names" ? [] : outline.x.ticks || [])];
  const ys = points.flatMap((point) => [point.y, ...point.bad.filter((value) => value > 0)]);
  for (const band of outline.bands || []) ys.push(band.low, band.high);
  for (const line of outline.lines || []) ys.push(line.y);
  for (const curve of [...(outline.limits || []), ...curves])
    for (const [x, ...values] of curve.curve) { xs.push(x); ys.push(...values); }
  return [extent(xs, outline.x, 1.35), extent(ys, outline.y, 1.25)];
}

// Draws everything anew into `node`: a few hundred elements, a few times a minute.
// `curves` are {panel, series, curve: [[x, y], …] or [[x, low, high], …], kind: "path" | "shade" | "limit"}.
function drawChart(node, outline, points, { here = [], curves = [], width = 640 } = {}) {
  const count = outline.panels.length;
  const columns = Math.max(1, Math.min(count, Math.floor(width / 250)));
  const lines = Math.ceil(count / columns);
  const named = outline.x.scale === "names";
  const most = named ? Math.max(...outline.x.ticks.map((name) => name.length)) : 0;
  const slot = (width / columns - 68) / (named ? Math.max(1, outline.x.ticks.length) : 1);
  const turned = named && most * 6.4 > slot;
  const below = turned ? Math.min(150, 20 + most * 4.6) : 36;
  const height = 200 + below + (outline.panels.some(Boolean) ? 18 : 0);
  const [[xLow, xHigh], [yLow, yHigh]] = spans(outline, points, curves);
  node.setAttribute("viewBox", `0 0 ${width} ${lines * height}`);
  node.setAttribute("height", lines * height);
  const parts = [];
  outline.panels.forEach((label, panel) => {
    const [column, line] = [panel % columns, Math.floor(panel / columns)];
    const [left, top] = [column * (width / columns) + 60, line * height + (label ? 24 : 8)];
    const [right, bottom] = [(column + 1) * (width / columns) - 8, (line + 1) * height - below];
    const x = scaled(outline.x, xLow, xHigh, left, right);
    const y = scaled(outline.y, yLow, yHigh, bottom, top);
    const box = { left, right, top, bottom };
    if (label) parts.push(svg("text", { x: left, y: top - 9, "font-weight": 600 }, label));
    parts.push(...axes(outline, x, y, box, turned, column === 0));
    parts.push(...marks(outline, panel, x, y, box, curves));
    for (const [at, , place] of here)
      if (at === panel) parts.push(svg("line", { x1: x(place), x2: x(place), y1: top, y2: bottom, class: "here" }));
    parts.push(...drawnPoints(outline, points.filter((point) => point.panel === panel), x, y, box));
  });
  node.replaceChildren(...parts);
}

function axes(outline, x, y, { left, right, top, bottom }, turned, first) {
  const parts = [];
  let last = Infinity;
  for (const [value, name] of ticksOf(outline.y, y.low, y.high, 9)) {
    if (last - y(value) < 15) continue;
    last = y(value);
    parts.push(svg("line", { x1: left, x2: right, y1: y(value), y2: y(value), class: "grid" }));
    parts.push(svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, name));
  }
  let free = -Infinity;
  for (const [value, name] of ticksOf(outline.x, x.low, x.high, (right - left) / 60)) {
    const [at, wide] = [x(value), turned ? 14 : name.length * 6.4 + 6];
    if (at - wide / 2 < free || at < left - 1 || at > right + 1) continue;
    free = at + wide / 2;
    parts.push(svg("line", { x1: at, x2: at, y1: bottom, y2: bottom + 4, class: "axis" }));
    const turn = turned ? { transform: `rotate(-40 ${at} ${bottom + 14})`, "text-anchor": "end" } : { "text-anchor": "middle" };
    parts.push(svg("text", { x: at, y: bottom + 17, ...turn }, name));
  }
  parts.push(svg("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "axis" }));
  const label = { x: (left + right) / 2, y: bottom + 33, "text-anchor": "middle" };
  if (outline.x.label) parts.push(svg("text", label, outline.x.label));
  const middle = (top + bottom) / 2;
  if (first) {
    const turn = { transform: `rotate(-90 ${left - 51} ${middle})`, "text-anchor": "middle" };
    parts.push(svg("text", { x: left - 51, y: middle + 4, ...turn }, outline.y.label));
  }
  return parts;
}

function marks(outline, panel, x, y, { left, right, top, bottom }, curves) {
  const parts = [];
  const inside = (value) => Math.max(top, Math.min(bottom, y(value)));
  const own = (each) => each.panel === undefined || each.panel === panel;
  const css = (each) => `s${outline.series[each.series || 0].look}`;
  for (const fault of (outline.faults || []).filter(own)) {
    const [from, to] = [x(fault.from), Math.max(x(fault.from) + 2, x(fault.to))];
    parts.push(svg("g", { class: "s1" }, svg("rect", { x: from, y: top, width: to - from, height: bottom - top, class: "fault" },
      svg("title", {}, fault.name))));
  }
  for (const band of (outline.bands || []).filter(own)) {
    const [high, low] = [inside(band.high), inside(band.low)];
    const group = svg("g", { class: css(band) });
    group.append(svg("rect", { x: left, y: high, width: right - left, height: low - high, class: "band" }));
    if (band.at !== undefined) {
      const [from, to] = [x(band.at / 1.22), x(band.at * 1.22)];
      const above = band.more ? top : high;
      group.append(svg("rect", { x: from, y: above, width: to - from, height: low - above, class: "judged" }, svg("title", {}, band.name)));
    }
    parts.push(group);
  }
  for (const line of (outline.lines || []).filter(own))
    parts.push(svg("line", { x1: left, x2: right, y1: y(line.y), y2: y(line.y), class: "limit s6" }));
  const drawn = [...(outline.limits || []).map((limit) => ({ kind: "limit", ...limit })), ...curves];
  for (const each of drawn.filter(own)) {
    const along = each.curve.filter(([at]) => at >= x.low && at <= x.high);
    const way = (pick) => along.map((point) => `${x(point[0]).toFixed(1)} ${Math.max(top - 20, Math.min(bottom + 20, y(pick(point)))).toFixed(1)}`);
    if (!along.length) continue;
    if (each.kind === "shade")
      parts.push(svg("g", { class: css(each) }, svg("path", { d: `M${way((p) => p[1]).join("L")}L${way((p) => p[2]).reverse().join("L")}Z`, class: "shade" })));
    else parts.push(svg("g", { class: css(each) }, svg("path", { d: `M${way((p) => p[1]).join("L")}`, class: each.kind || "path" })));
  }
  return parts;
}

function drawnPoints(outline, points, x, y, { top, bottom }) {
  const parts = [];
  const inside = (value) => Math.max(top - 8, Math.min(bottom, y(value)));
  outline.series.forEach((series, number) => {
    const own = points.filter((point) => point.series === number).sort((a, b) => a.x - b.x);
    const group = svg("g", { class: `s${series.look}` });
    const aside = (outline.aside ?? 7) * (number - (outline.series.length - 1) / 2); // so that equal points both show
    const known = own.filter((point) => point.y !== null);
    if (outline.x.scale !== "names" && !series.apart && known.length > 1)
      group.append(svg("path", { d: "M" + known.map((point) => `${x(point.x) + aside} ${y(point.y)}`).join("L"), class: "path" }));
    for (const point of own) {
      const at = x(point.x) + aside;
      for (const bad of point.bad) group.append(marker(series.look, at, bad > 0 ? y(bad) : bottom - 6, "hollow"));
      if (point.y === null) continue;
      if (point.low !== null && point.high !== null) {
        const [low, high] = [inside(point.low), inside(point.high)];
        group.append(svg("path", { d: `M${at} ${low}V${high}M${at - 4} ${low}h8M${at - 4} ${high}h8`, class: "bar" }));
      }
      const node = marker(series.look, at, y(point.y), series.hollow ? "hollow" : "mark");
      node.append(svg("title", {}, inWords(outline, point)));
      group.append(node);
    }
    parts.push(group);
  });
  return parts;
}

function inWords(outline, point) {
  const where = outline.x.scale === "names" ? outline.x.ticks[point.x] : `at ${figure(point.x, 4)}`;
  const name = [outline.panels[point.panel], outline.series[point.series].name, where].filter(Boolean).join(", ");
  if (point.y === null) return `${name}: no valid trial`;
  const interval = point.low === null || point.high === null ? "" : ` (${figure(point.low)} to ${figure(point.high)})`;
  const bad = point.bad.length ? `, ${point.bad.length} invalid` : "";
  return `${name}: ${figure(point.y)}${interval}${bad}`;
}

function legend(outline) {
  const entry = (css, drawn, text) =>
    html("li", {}, svg("svg", { width: 28, height: 14, viewBox: "0 0 28 14", class: css, "aria-hidden": "true" }, ...drawn), text);
  const entries = outline.series.filter((series) => !series.silent).map((series) => entry(`s${series.look}`,
    [svg("path", { d: "M1 7H27", class: series.apart ? "limit" : "path" }),
      ...(series.line ? [] : [marker(series.look, 14, 7, series.hollow ? "hollow" : "mark")])], series.name));
  const told = new Set();
  for (const band of outline.bands || []) {
    if (told.has(band.name)) continue;
    told.add(band.name);
    entries.push(entry(`s${outline.series[band.series].look}`, [svg("rect", { x: 2, y: 1, width: 24, height: 12, class: "judged" })], band.name));
  }
  if ((outline.limits || []).length) entries.push(entry("s6", [svg("path", { d: "M1 7H27", class: "limit" })], outline.limit));
  for (const line of outline.lines || []) entries.push(entry("s6", [svg("path", { d: "M1 7H27", class: "limit" })], line.name));
  if ((outline.faults || []).length) entries.push(entry("s1", [svg("rect", { x: 2, y: 1, width: 24, height: 12, class: "fault" })], "fault"));
  if (!outline.sure) entries.push(entry("s6", [marker(0, 14, 7, "hollow")], "invalid trial"));
  return html("ul", { class: "legend" }, ...entries);
}
