// The run: an index that is there at once, and groups that are unpacked (or fetched) when somebody looks at them.

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const run = { meta: {}, metrics: {}, vocab: {}, episodes: [], notes: {}, loaded: new Set() };
const kept = new Map();
const KEPT = 40;

async function loadIndex() {
  const found = await unpack(document.getElementById("index").textContent);
  Object.assign(run, { meta: found.meta, metrics: found.metrics, vocab: found.vocab });
  addEpisodes(found.episodes, found.notes);
}

function addEpisodes(columns, notes) {
  Object.assign(run.notes, notes);
  const names = Object.keys(columns);
  const count = names.length ? columns[names[0]].length : 0;
  for (let i = 0; i < count; i++) {
    const one = {};
    for (const name of names) one[name] = columns[name][i];
    run.loaded.add(one.step);
    run.episodes.push(one);
  }
  run.episodes.sort((a, b) => a.step - b.step || a.group - b.group || a.index - b.index);
}

// Where a server answers, steps come one by one.
async function loadStep(step) {
  if (!run.meta.serve || run.loaded.has(step)) return;
  const found = await (await fetch(`step/${step}`)).json();
  Object.assign(run.vocab, found.vocab);
  addEpisodes(found.episodes, found.notes);
  run.loaded.add(step);
}

function written(id) {
  const there = document.getElementById(id);
  if (there || document.readyState !== "loading") return Promise.resolve(there);
  return new Promise((done) =>
    document.addEventListener("DOMContentLoaded", () => done(document.getElementById(id)), { once: true }),
  );
}

function group(step, number) {
  const id = `g${step}-${number}`;
  if (!kept.has(id)) {
    const made = run.meta.serve
      ? fetch(`group/${step}/${number}`).then((answer) => answer.json())
      : written(id).then((node) => unpack(node.textContent));
    kept.set(id, made);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  }
  return kept.get(id);
}

const piece = (id) => (id in run.vocab ? run.vocab[id] : `#${id}`);

function pathTo(of, node) {
  const found = [];
  for (let n = node; n >= 0; n = of.nodes[n][0]) found.push(n);
  return found.reverse();
}

// The nodes that a turn said: below `c`, down to `s`.
function said(of, turn) {
  const found = [];
  for (let n = turn.s; n !== turn.c && n >= 0; n = of.nodes[n][0]) found.push(n);
  return found.reverse();
}

const textOf = (of, one) =>
  [of.task, of.kind, ...one.turns.flatMap((t) => [t.text, t.action, t.obs]), one.failure ? one.failure[1] : ""].join("\n");
