// An episode as tokens: a table of all that is known of each, and the same as tinted text.

const SHADES = {
  advantage: (t) => [t.adv, 1.5],
  entropy: (t) => [t.entropy, 2],
  "log-ratio": (t) => [t.ratio ? Math.log(t.ratio) : t.ratio, 0.2],
  "engine gap": (t) => [t.logp === null || t.logp === undefined ? null : Math.abs(t.logp - t.engine), 0.05],
};
let shade = "advantage";
let asText = false;

const at = (column, i) => (Array.isArray(column) ? column[i] : column === undefined ? null : column);

function tokensOf(of, one) {
  const rows = one.rows.length ? one.rows : one.turns.length ? [[one.turns[one.turns.length - 1].s, []]] : [];
  const out = [];
  rows.forEach(([leaf, turns], r) => {
    const place = new Map();
    for (const t of turns) {
      let offset = 0;
      for (const n of said(of, one.turns[t])) {
        place.set(n, [t, offset]);
        offset += of.nodes[n][1].length;
      }
    }
    let position = 0;
    for (const n of pathTo(of, leaf)) {
      const [, ids, logprobs, entropies, version] = of.nodes[n];
      const [turn, offset] = place.get(n) || [null, 0];
      const told = turn === null ? null : one.turns[turn];
      ids.forEach((id, i) => {
        const token = { position: position++, node: n, row: r, id, policy: !!logprobs, turn, mask: 0, version };
        if (logprobs) token.engine = logprobs[i];
        if (entropies) token.entropy = entropies[i];
        if (told) {
          const k = offset + i;
          token.adv = at(told.adv, k);
          token.times = at(told.times, k);
          token.mask = token.times === null ? 1 : token.times > 0 ? 1 : 0;
          if (told.logp) Object.assign(token, { logp: told.logp[k], old: told.old[k], ratio: told.ratio[k],
            clipped: told.logp[k] === null ? null : told.clipped.includes(k) });
        }
        out.push(token);
      });
    }
  });
  return out;
}

const TOKEN_COLUMNS = [
  ["row", (t) => t.row], ["pos.", (t) => t.position], ["node", (t) => t.node], ["turn", (t) => (t.turn === null ? "" : t.turn)],
  ["mask", (t) => t.mask], ["token", (t) => visible(piece(t.id))],
  ["log p engine", (t) => number(t.engine, 4)], ["log p learner", (t) => number(t.logp, 4)], ["ratio", (t) => number(t.ratio, 4)],
  ["clipped", (t) => (t.clipped ? "clipped" : t.clipped === false ? "no" : "")],
  ["advantage", (t) => (t.adv === null || t.adv === undefined ? "" : signed(t.adv))], ["entropy", (t) => number(t.entropy)],
];

const visible = (text) => text.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/^ +| +$/g, (x) => "·".repeat(x.length)) || "∅";

function tokenTable(tokens) {
  const rows = new Rows(22, (i) => {
    const t = tokens[i];
    const row = h("div", { class: `token${t.policy ? " policy" : ""}${i && tokens[i - 1].row !== t.row ? " first" : ""}`,
      title: `id ${t.id}${t.policy ? `, weights of step ${t.version}` : ""}` });
    TOKEN_COLUMNS.forEach(([name, tell], c) => {
      const cell = h("span", { class: `k${c}` }, tell(t));
      if (name === "advantage") cell.style.background = tint(t.adv, 1.5);
      if (name === "entropy") cell.style.background = tint(t.entropy, 2);
      row.append(cell);
    });
    return row;
  });
  const head = h("div", { class: "token head" }, TOKEN_COLUMNS.map(([name], c) => h("span", { class: `k${c}` }, name)));
  const first = tokens.findIndex((t) => t.mask);
  requestAnimationFrame(() => {
    rows.show(tokens.length);
    rows.node.scrollTop = Math.max(0, (first - 5) * 22);
  });
  return h("div", { class: "tokentable" }, head, rows.node);
}

function tokenText(tokens, info) {
  const blocks = [];
  let block = null;
  let before = null;
  for (const t of tokens) {
    if (!before || before.node !== t.node || before.row !== t.row) {
      block = h("div", { class: `block${t.policy ? " policy" : ""}` });
      if (!before || before.row !== t.row) blocks.push(h("div", { class: "note" }, `row ${t.row}`));
      blocks.push(block);
    }
    const node = h("span", { class: t.clipped ? "tok clipped" : "tok" }, piece(t.id));
    const [value, scale] = SHADES[shade](t);
    if (t.policy) node.style.background = tint(value, scale);
    node.token = t;
    block.append(node);
    before = t;
  }
  const tell = (event) => {
    const t = event.target.token;
    if (t) clear(info, TOKEN_COLUMNS.map(([name, say]) => badge(name, say(t))));
  };
  return h("div", { class: "tokentext", onmouseover: tell, onclick: tell }, blocks);
}

function tokensView(of, one, redraw) {
  const tokens = tokensOf(of, one);
  const info = h("div", { class: "info" });
  const trained = tokens.filter((t) => t.mask).length;
  const learner = tokens.some((t) => t.logp !== undefined && t.logp !== null);
  const pick = h("select", { id: "shade", onchange: (e) => { shade = e.target.value; redraw(); } },
    Object.keys(SHADES).map((name) => h("option", { value: name, selected: name === shade }, name)));
  const bar = h("div", { class: "bar" },
    h("button", { id: "astext", onclick: () => { asText = !asText; redraw(); } }, asText ? "as table" : "as text"),
    asText ? h("label", null, "tint by ", pick) : null,
    h("span", { class: "note" }, `${tokens.length} tokens in ${Math.max(1, one.rows.length)} row(s), ${trained} trained`,
      learner ? "" : "; learner's log-probabilities: not recorded"), info);
  return h("div", { class: "tokens" }, bar, asText ? tokenText(tokens, info) : tokenTable(tokens));
}
