// What is where, which key does what.

let view = "episodes";
let tab = "conversation";
let atTurn = null;
const TABS = ["conversation", "tokens", "group", "advantage"];
const KEYS = [
  ["j k / ↓ ↑", "next, previous episode"], ["J K", "next, previous group"], ["1 2 3 4", TABS.join(", ")], ["[ ]", "previous, next turn"],
  ["c", "curves and back"], ["/", "search text; Enter looks, Esc leaves"], ["n p", "next, previous match"], ["f", "filters"],
  ["x", "tokens as table or as text"], ["t", "light or dark"], ["?", "this help"],
];
const $ = (id) => document.getElementById(id);

async function open(e, turn = null) {
  selected = e;
  atTurn = turn;
  list.redraw();
  if (view !== "episodes") setView("episodes");
  await draw();
}

function goto(step, g, index, turn = null) {
  const e = run.episodes.find((x) => x.step === step && x.group === g && x.index === index);
  if (turn !== null) tab = "conversation";
  if (e) open(e, turn);
  const i = shown.indexOf(e);
  if (i >= 0) list.reveal(i);
}

async function draw() {
  const e = selected;
  if (!e) return clear($("detail"), h("p", { class: "note pad" }, shown.length ? "Choose an episode." : "No rollouts are kept in this run."));
  const of = await group(e.step, e.group);
  if (selected !== e) return null;
  const one = of.trajs[e.index];
  const tabs = h("div", { class: "tabs", role: "tablist" }, TABS.map((name, i) =>
    h("button", { id: `tab-${name}`, role: "tab", "aria-selected": String(name === tab), onclick: () => setTab(name) }, `${i + 1} ${name}`)));
  const told = h("div", { class: "summary" }, h("b", null, `step ${e.step}, episode ${e.group}.${e.index}`),
    badge("", `${brief(of.env)}:${of.seed}`), of.kind ? badge("kind", of.kind) : null, badge("ended by", one.stop), badge("return", number(one.reward)),
    one.score === null ? null : badge("score", number(one.score)),
    one.won ? h("span", { class: "badge good" }, "won") : null, one.failure ? h("span", { class: "badge bad" }, "failure") : null,
    one.forked ? badge("forked from", `${e.group}.${one.forked[0]} after ${one.forked[1]} turns`) : null);
  const body = h("div", { id: "body", class: `body ${tab}`, tabindex: "0" });
  const notes = (run.notes[e.step] || []).map((text) => h("p", { class: "note" }, text));
  if (tab === "conversation") body.append(talk(of, one));
  if (tab === "tokens") body.append(...notes, tokensView(of, one, draw));
  if (tab === "group") body.append(groupView(of, one));
  if (tab === "advantage") body.append(...notes, h("pre", { class: "why" }, one.why || "Not recorded."));
  clear($("detail"), told, tabs, body);
  if (atTurn !== null && $(`turn-${atTurn}`)) $(`turn-${atTurn}`).scrollIntoView();
  else if (query && tab === "conversation") nextMatch(1);
  return null;
}

function setTab(name) {
  tab = name;
  draw();
}

function setView(name) {
  view = name;
  $("episodes").hidden = name !== "episodes";
  $("curves").hidden = name !== "curves";
  if (name === "curves" && !$("curves").firstChild) $("curves").append(curvesView());
  for (const n of ["episodes", "curves"]) $(`view-${n}`).setAttribute("aria-pressed", String(n === name));
  if (name === "episodes") list.redraw();
}

async function showStep(step) {
  await loadStep(step);
  filters.step = run.episodes.some((e) => e.step === step) ? step : "";
  $("f-step").value = String(filters.step);
  setView("episodes");
  refilter();
  if (shown.length) open(shown[0]);
}

function move(by, wholeGroups) {
  if (!shown.length) return;
  let i = shown.indexOf(selected);
  const start = shown[i];
  do i += by;
  while (wholeGroups && shown[i] && start && shown[i].group === start.group && shown[i].step === start.step);
  i = Math.max(0, Math.min(shown.length - 1, i));
  open(shown[i]);
  list.reveal(i);
}

let match = -1;
function nextMatch(by) {
  const marks = [...document.querySelectorAll("mark")];
  if (!marks.length) return;
  marks.forEach((m) => m.classList.remove("now"));
  match = (((by === 1 && match < 0 ? 0 : match + by) % marks.length) + marks.length) % marks.length;
  marks[match].classList.add("now");
  marks[match].scrollIntoView({ block: "center" });
}

function turnBy(by) {
  const count = document.querySelectorAll(".turn").length;
  if (!count) return;
  atTurn = Math.max(0, Math.min(count - 1, (atTurn === null ? -1 : atTurn) + by));
  $(`turn-${atTurn}`).scrollIntoView();
}

function theme(name) {
  document.documentElement.dataset.theme = name;
}

function toggleTheme() {
  const now = document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  theme(now === "dark" ? "light" : "dark");
}

async function look() {
  query = $("search").value.trim();
  match = -1;
  await search(query, (text) => { $("status").textContent = text; });
  if (query) $("status").textContent = `${shown.length} episode(s) with “${query}”`;
  if (shown.length && !shown.includes(selected)) await open(shown[0]);
  else await draw();
}

const ACTIONS = {
  j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1), J: () => move(1, true), K: () => move(-1, true),
  1: () => setTab(TABS[0]), 2: () => setTab(TABS[1]), 3: () => setTab(TABS[2]), 4: () => setTab(TABS[3]),
  "[": () => turnBy(-1), "]": () => turnBy(1), c: () => setView(view === "curves" ? "episodes" : "curves"), "/": () => $("search").focus(),
  n: () => nextMatch(1), p: () => nextMatch(-1), f: () => $("f-step").focus(), t: toggleTheme, x: () => { asText = !asText; setTab("tokens"); },
  "?": () => { $("help").hidden = !$("help").hidden; }, Escape: () => { $("help").hidden = true; },
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "checkbox";
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const act = ACTIONS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

async function main() {
  await loadIndex();
  const m = run.meta;
  document.title = `${m.name} – agentrl inspect`;
  clear($("app"),
    h("header", null, h("b", { class: "name" }, m.name), h("span", { class: "note" }, `${brief(m.env)}, ${m.algo}, ${brief(m.model)}`),
      h("button", { id: "view-episodes", onclick: () => setView("episodes") }, "episodes"), h("button", { id: "view-curves", onclick: () => setView("curves") }, "curves"),
      h("input", { id: "search", type: "search", placeholder: "search text  /", onkeydown: (e) => { if (e.key === "Enter") { e.target.blur(); look(); } } }),
      h("span", { id: "status", class: "note", role: "status" }), h("button", { id: "theme", title: "light or dark (t)", onclick: toggleTheme }, "◐"),
      h("button", { title: "keys (?)", onclick: ACTIONS["?"] }, "?")),
    h("main", { id: "episodes" }, h("section", { class: "left" }, filterBar(), listHead(), list.node), h("section", { id: "detail" })),
    h("main", { id: "curves", hidden: true }),
    h("div", { id: "help", hidden: true }, h("h2", null, "Keys"), h("dl", null, KEYS.map(([key, what]) => [h("dt", null, key), h("dd", null, what)]))));
  document.addEventListener("keydown", onKey);
  setView(m.steps.length ? "episodes" : "curves");
  if (m.serve && m.steps.length) {
    const last = m.steps[m.steps.length - 1];
    await loadStep(last);
    filters.step = last;
    document.querySelector(".filters").replaceWith(filterBar());
    $("f-step").value = String(last);
  }
  refilter();
  document.documentElement.dataset.ready = "yes";
  draw();
}

main().catch((error) => { document.getElementById("app").textContent = `This page could not be shown: ${error}`; });
