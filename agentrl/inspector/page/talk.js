// An episode as a conversation.

let query = "";

function marked(text) {
  if (!query) return text;
  const parts = [];
  const lower = text.toLowerCase();
  const wanted = query.toLowerCase();
  let at = 0;
  for (let i = lower.indexOf(wanted); i >= 0 && lower.length === text.length; i = lower.indexOf(wanted, at)) {
    parts.push(text.slice(at, i), h("mark", null, text.slice(i, i + wanted.length)));
    at = i + wanted.length;
  }
  parts.push(text.slice(at));
  return parts;
}

const mean = (x) => (Array.isArray(x) ? x.reduce((a, b) => a + b, 0) / x.length : x);

function badge(label, value, background) {
  const node = h("span", { class: "badge" }, h("i", null, label), " ", value);
  if (background) node.style.background = background;
  return node;
}

function said_by(who, text, extra) {
  return h("div", { class: `said ${who}` }, h("pre", null, marked(text)), extra);
}

function turnHead(turn, i) {
  const told = [badge("turn", i)];
  told.push(badge("reward", number(turn.reward)));
  if (turn.adv !== undefined && turn.adv !== null)
    told.push(badge(Array.isArray(turn.adv) ? "mean advantage" : "advantage", signed(mean(turn.adv)), tint(mean(turn.adv), 1.5)));
  if (turn.times !== undefined && mean(turn.times) !== 1) told.push(badge("trained", `${number(mean(turn.times))}×`));
  for (const [name, value] of Object.entries(turn.parts)) told.push(badge(name, number(value)));
  if (turn.tools) told.push(badge("tool calls", turn.tools));
  if (turn.edits[0]) told.push(badge("edits", `${turn.edits[0]} (${turn.edits[1]} failed, ${turn.edits[2]} tokens saved)`));
  if (!turn.valid) told.push(h("span", { class: "badge bad" }, "invalid action"));
  if (turn.finish !== "stop") told.push(h("span", { class: "badge bad" }, `cut: ${turn.finish}`));
  told.push(badge("", `${turn.seconds[0]} s sampling, ${turn.seconds[1]} s environment`));
  return h("div", { class: "turnhead" }, told);
}

function talk(of, one) {
  const parts = [said_by("env", of.task)];
  one.turns.forEach((turn, i) => {
    const shared = one.forked && i < one.forked[1];
    const other = turn.action !== turn.text ? h("div", { class: "action" }, "action: ", h("code", null, marked(turn.action))) : null;
    parts.push(h("div", { class: `turn${shared ? " shared" : ""}`, id: `turn-${i}` }, turnHead(turn, i),
      shared ? h("div", { class: "note" }, `shared with episode ${of.group}.${one.forked[0]}`) : null,
      said_by("policy", turn.text, other), turn.obs ? said_by("env", turn.obs) : null));
  });
  if (one.failure) parts.push(h("div", { class: "failure" }, `failed in stage ${one.failure[0]}: `, marked(one.failure[1])));
  return h("div", { class: "talk" }, parts);
}
