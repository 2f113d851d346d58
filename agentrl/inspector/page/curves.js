// Training curves: small charts of everything that was logged.

const FIRST = ["reward", "success", "eval/greedy_success", "eval/sampled_success", "score", "entropy", "advantage_abs", "grad_norm",
  "loss", "approx_kl", "engine_gap", "mismatch_kl", "zero_signal_groups", "invalid", "truncated", "failures", "turns", "clip_high", "clip_low"];
const [CW, CH] = [270, 110];

function curve(name, steps, values) {
  const pairs = steps.map((x, i) => [x, values[i]]).filter(([, y]) => y !== null && Number.isFinite(y));
  if (!pairs.length) return null;
  const xs = pairs.map((p) => p[0]);
  const ys = pairs.map((p) => p[1]);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  const x = (v) => 6 + ((v - x0) / (x1 - x0 || 1)) * (CW - 12);
  const y = (v) => 8 + (1 - (v - y0) / (y1 - y0 || 1)) * (CH - 16);
  const picture = s("svg", { class: "chart", viewBox: `0 0 ${CW} ${CH}`, width: CW, height: CH, role: "img", "aria-label": name });
  picture.append(s("line", { class: "axis", x1: 6, x2: CW - 6, y1: CH - 4, y2: CH - 4 }));
  picture.append(s("polyline", { class: "line", points: pairs.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ") }));
  const dot = s("circle", { class: "dot", r: 3, cx: x(xs[xs.length - 1]), cy: y(ys[ys.length - 1]) });
  picture.append(dot);
  const told = h("span", { class: "now" });
  const show = (i) => {
    dot.setAttribute("cx", x(xs[i]));
    dot.setAttribute("cy", y(ys[i]));
    told.textContent = `step ${xs[i]}: ${number(ys[i], 4)}`;
    return xs[i];
  };
  show(xs.length - 1);
  const nearest = (event) => {
    const box = picture.getBoundingClientRect();
    const wanted = x0 + (((event.clientX - box.left) / box.width) * CW - 6) / (CW - 12) * (x1 - x0);
    return xs.reduce((best, v, i) => (Math.abs(v - wanted) < Math.abs(xs[best] - wanted) ? i : best), 0);
  };
  picture.addEventListener("mousemove", (event) => show(nearest(event)));
  picture.addEventListener("mouseleave", () => show(xs.length - 1));
  picture.addEventListener("click", (event) => showStep(show(nearest(event))));
  return h("figure", { "data-metric": name }, h("figcaption", null, h("b", null, name), told), picture,
    h("div", { class: "range" }, h("span", null, `${number(y0, 4)} to ${number(y1, 4)}`), h("span", null, `steps ${x0} to ${x1}`)));
}

function curvesView() {
  const names = Object.keys(run.metrics);
  const rank = (n) => (FIRST.includes(n) ? FIRST.indexOf(n) : FIRST.length + (n.startsWith("time/") ? 1 : 0));
  names.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const charts = names.map((n) => curve(n, run.metrics[n][0], run.metrics[n][1])).filter(Boolean);
  return h("div", { class: "curves" }, charts.length ? charts : h("p", { class: "note" }, "Nothing was logged yet."));
}
