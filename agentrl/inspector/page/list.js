// The list of episodes, and the filters above it.

const filters = { step: "", env: "", outcome: "", stop: "", tool: "", forks: false, invalid: false, truncated: false,
  failure: false };
let shown = [];
let selected = null;
let hits = null;
let order = { by: "", down: true };

function passes(e) {
  if (filters.step !== "" && e.step !== filters.step) return false;
  if (filters.env && e.env !== filters.env) return false;
  if (filters.outcome === "won" && !e.won) return false;
  if (filters.outcome === "not won" && (e.won || e.failed)) return false;
  if (filters.stop && e.stop !== filters.stop) return false;
  if (filters.tool === "any" ? !e.tools.length : filters.tool && !e.tools.includes(filters.tool)) return false;
  if (filters.forks && !e.forks) return false;
  if (filters.invalid && !e.invalid) return false;
  if (filters.truncated && !e.truncated) return false;
  if (filters.failure && !e.failed) return false;
  return !hits || hits.has(e);
}

const COLUMNS = [
  ["step", "step", (e) => e.step], ["episode", "group", (e) => `${e.group}.${e.index}`], ["", "won", mark],
  ["return", "reward", (e) => number(e.reward)], ["adv.", "adv", (e) => (e.adv === null ? "–" : signed(e.adv))],
  ["turns", "turns", (e) => e.turns], ["tokens", "tokens", (e) => e.tokens], ["ended by", "stop", (e) => e.stop],
];

function mark(e) {
  return e.failed ? "✕" : e.won ? "●" : "○";
}

function flags(e) {
  const told = [];
  if (e.forked) told.push("fork");
  if (e.invalid) told.push("invalid");
  if (e.truncated) told.push("cut");
  return told.join(" ");
}

const list = new Rows(26, (i) => {
  const e = shown[i];
  const row = h("div", {
    class: `row${e === selected ? " selected" : ""}${i && shown[i - 1].group !== e.group ? " first" : ""}`,
    "data-episode": `${e.step}/${e.group}.${e.index}`, onclick: () => open(e),
    title: `${brief(e.env)} ${e.kind}\n${e.task}`,
  });
  COLUMNS.forEach(([, name, tell]) => {
    const cell = h("span", { class: `c-${name}${name === "won" ? (e.failed ? " bad" : e.won ? " good" : "") : ""}` }, tell(e));
    if (name === "adv") cell.style.background = tint(e.adv, 1.5);
    row.append(cell);
  });
  row.append(h("span", { class: "c-flags" }, flags(e)));
  return row;
});

function refilter() {
  shown = run.episodes.filter(passes);
  if (order.by) {
    const sign = order.down ? -1 : 1;
    const value = (e) => (e[order.by] === null ? -Infinity : typeof e[order.by] === "string" ? e[order.by] : Number(e[order.by]));
    shown.sort((a, b) => (value(a) < value(b) ? -sign : value(a) > value(b) ? sign : 0));
  }
  list.show(shown.length);
  document.getElementById("count").textContent = `${shown.length} of ${run.episodes.length} episodes`;
}

function sortBy(name) {
  order = order.by === name ? (order.down ? { by: name, down: false } : { by: "", down: true }) : { by: name, down: true };
  refilter();
}

function choice(name, label, values, after) {
  const pick = (event) => {
    const value = event.target.value;
    filters[name] = name === "step" && value !== "" ? Number(value) : value;
    (after || refilter)(filters[name]);
  };
  const options = values.map((v) => h("option", { value: v, selected: filters[name] === v }, v === "any" ? `${label}: any` : name === "env" ? brief(v) : v));
  return h("select", { id: `f-${name}`, "aria-label": label, onchange: pick }, h("option", { value: "" }, label), options);
}

function tick(name, label) {
  const input = h("input", { type: "checkbox", id: `f-${name}`, checked: filters[name], onchange: (e) => { filters[name] = e.target.checked; refilter(); } });
  return h("label", null, input, label);
}

function filterBar() {
  const distinct = (tell) => [...new Set(run.episodes.flatMap(tell))].sort();
  const steps = run.meta.serve ? run.meta.steps : distinct((e) => e.step).sort((a, b) => a - b);
  const tools = distinct((e) => e.tools);
  return h("div", { class: "filters" },
    choice("step", "all steps", steps, async (step) => {
      if (run.meta.serve && step !== "" && !run.loaded.has(step)) {
        await loadStep(step);
        document.querySelector(".filters").replaceWith(filterBar());  // with the names that came with it
        document.getElementById("f-step").value = String(step);
      }
      refilter();
    }),
    choice("env", "all environments", distinct((e) => e.env)),
    choice("outcome", "won or not", ["won", "not won"]),
    choice("stop", "ended by", distinct((e) => e.stop)),
    choice("tool", "tools", tools.length ? ["any", ...tools] : []),
    tick("forks", "has forks"), tick("invalid", "invalid"), tick("truncated", "truncated"), tick("failure", "failure"),
    h("span", { id: "count" }));
}

function listHead() {
  return h("div", { class: "row head" },
    COLUMNS.map(([label, name]) => h("span", { class: `c-${name}`, onclick: () => sortBy(name) }, label || "won")),
    h("span", { class: "c-flags" }, ""));
}

// Look for a text in everything that passes the filters.
async function search(query, tell) {
  hits = null;
  if (query) {
    const found = new Set();
    const wanted = query.toLowerCase();
    const groups = new Map();
    for (const e of run.episodes.filter(passes)) {
      const id = `${e.step}/${e.group}`;
      if (!groups.has(id)) groups.set(id, []);
      groups.get(id).push(e);
    }
    let done = 0;
    for (const members of groups.values()) {
      const of = await group(members[0].step, members[0].group);
      for (const e of members) if (textOf(of, of.trajs[e.index]).toLowerCase().includes(wanted)) found.add(e);
      if (++done % 10 === 0) tell(`searching, ${done} of ${groups.size} groups`);
    }
    hits = found;
  }
  tell("");
  refilter();
}
