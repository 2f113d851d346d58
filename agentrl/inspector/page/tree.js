// A group: its token tree with forks, entropies and rewards, and its episodes side by side.

const LINE = 24;

function layout(of) {
  const below = of.nodes.map(() => []);
  const tops = [];
  const used = new Set();
  of.trajs.forEach((t) => t.turns.forEach((u) => pathTo(of, u.s).forEach((n) => used.add(n))));
  [...used].sort((a, b) => a - b).forEach((n) => (of.nodes[n][0] < 0 ? tops : below[of.nodes[n][0]]).push(n));
  const boxes = new Map();
  let line = 0;
  const place = (n, x) => {
    const width = Math.max(10, Math.min(90, 4 + 5 * Math.sqrt(of.nodes[n][1].length)));
    const children = below[n];
    let y;
    if (!children.length) y = line++;
    else y = children.map((c) => place(c, x + width + 14)).reduce((a, b) => a + b, 0) / children.length;
    boxes.set(n, { x, y, width, parent: of.nodes[n][0] });
    return y;
  };
  tops.forEach((n) => place(n, 8));
  return { boxes, lines: line, width: Math.max(60, ...[...boxes.values()].map((b) => b.x + b.width)) };
}

function nodeText(of, n) {
  return of.nodes[n][1].map(piece).join("").slice(0, 400);
}

function treeOf(of, current) {
  const { boxes, lines, width } = layout(of);
  const ends = new Map();
  const turns = new Map();
  of.trajs.forEach((t) => {
    t.turns.forEach((u, k) => said(of, u).forEach((n) => turns.has(n) || turns.set(n, [t.index, k])));
    const last = t.turns[t.turns.length - 1];
    if (last) ends.set(last.s, [...(ends.get(last.s) || []), t]);
  });
  const mine = new Set(current.turns.flatMap((u) => pathTo(of, u.s)));
  const picture = s("svg", { class: "tree", width: width + 260, height: lines * LINE + 20, role: "img", "aria-label": "token tree" });
  const middle = (b) => 12 + b.y * LINE + LINE / 2;
  for (const [n, b] of boxes) {
    const above = boxes.get(b.parent);
    if (!above) continue;
    const [x0, y0, x1, y1] = [above.x + above.width, middle(above), b.x, middle(b)];
    picture.append(s("path", { class: `edge${mine.has(n) ? " mine" : ""}`, d: `M${x0} ${y0}C${x0 + 8} ${y0} ${x1 - 8} ${y1} ${x1} ${y1}` }));
  }
  for (const [n, b] of boxes) {
    const [, ids, logprobs, entropies] = of.nodes[n];
    const entropy = entropies ? entropies.reduce((a, c) => a + c, 0) / entropies.length : null;
    const box = s("rect", { class: `box${logprobs ? " policy" : ""}${mine.has(n) ? " mine" : ""}`, x: b.x, y: middle(b) - 7,
      width: b.width, height: 14, rx: 3, "data-node": n });
    if (entropy !== null) box.style.fillOpacity = (0.12 + 0.88 * Math.min(1, entropy / 2)).toFixed(2);
    box.append(s("title", null, `node ${n}, ${ids.length} tokens${entropy === null ? "" : `, mean entropy ${number(entropy)}`}\n${nodeText(of, n)}`));
    const at = turns.get(n);
    if (at) box.addEventListener("click", () => goto(of.step, of.group, at[0], at[1]));
    picture.append(box);
    (ends.get(n) || []).forEach((t, k) => {
      const label = `${of.group}.${t.index} ${t.failure ? "failed" : number(t.reward)}${t.won ? " won" : ""}${t.forked ? ` (fork of ${t.forked[0]})` : ""}`;
      picture.append(s("text", { class: `end${t.won ? " good" : t.failure ? " bad" : ""}${t === current ? " mine" : ""}`, x: b.x + b.width + 8 + k * 150,
        y: middle(b) + 4, onclick: () => goto(of.step, of.group, t.index) }, label));
    });
  }
  return h("div", { class: "treebox" }, picture);
}

function groupView(of, current) {
  const head = ["episode", "won", "return", "mean advantage", "turns", "ended by", "forked from", "drift"];
  const rows = of.trajs.map((t) => {
    const adv = t.turns.filter((u) => u.adv !== undefined && u.adv !== null).map((u) => mean(u.adv));
    const value = adv.length ? mean(adv) : null;
    const cell = h("td", null, value === null ? "–" : signed(value));
    cell.style.background = tint(value, 1.5);
    return h("tr", { class: t === current ? "selected" : "", onclick: () => goto(of.step, of.group, t.index) },
      h("td", null, `${of.group}.${t.index}`), h("td", null, t.failure ? "failure" : t.won ? "won" : ""), h("td", null, number(t.reward)), cell,
      h("td", null, t.turns.length), h("td", null, t.stop), h("td", null, t.forked ? `${of.group}.${t.forked[0]}, after ${t.forked[1]} turns` : ""), h("td", null, t.drift || ""));
  });
  return h("div", { class: "group" },
    h("p", { class: "note" }, `Task ${brief(of.env)}:${of.seed}${of.kind ? `, ${of.kind}` : ""}. ${of.trained ? "" : "This group was not trained on. "}`,
      "Boxes are nodes of the token tree: grey what the environment wrote, blue what the policy said, the darker the higher its entropy; a click opens the turn."),
    treeOf(of, current), h("table", null, h("tr", null, head.map((x) => h("th", null, x))), rows));
}
