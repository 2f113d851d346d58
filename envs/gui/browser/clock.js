// A clock that stands still but for __clock.run(ms): Date, performance.now, timers and animation frames of the page
// follow it, so that what a page does depends on what was done to it and not on how fast. It starts anew with each
// document. Math.random is fixed too, until the page seeds it.
(() => {
  const START = Date.UTC(2016, 9, 20, 12, 0, 0), MOST = 20000, FRAME = 16;
  const RealDate = Date;
  let now = 0, next = 1, state = 123456789;
  const timers = new Map();
  const time = () => Math.floor(START + now);
  function FakeDate(...given) {
    if (!new.target) return new RealDate(time()).toString();
    return Reflect.construct(RealDate, given.length ? given : [time()], new.target);
  }
  FakeDate.prototype = RealDate.prototype;
  Object.setPrototypeOf(FakeDate, RealDate);
  FakeDate.now = time;
  RealDate.prototype.constructor = FakeDate;
  window.Date = FakeDate;
  Object.defineProperty(performance, 'now', {value: () => now, configurable: true});
  const add = (work, delay, given, every) => {
    const id = next++;
    delay = Math.max(1, Number(delay) || 0);
    timers.set(id, {id, at: now + delay, every: every ? delay : 0, work, given});
    return id;
  };
  window.setTimeout = (work, delay, ...given) => add(work, delay, given, false);
  window.setInterval = (work, delay, ...given) => add(work, delay, given, true);
  window.clearTimeout = window.clearInterval = window.cancelAnimationFrame = id => { timers.delete(id); };
  window.__frame = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = work => add(() => work(now), FRAME, [], false);
  Math.random = () => {
    state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
  const due = end => {
    let first = null;
    for (const timer of timers.values()) {
      if (timer.at <= end && (!first || timer.at < first.at)) first = timer;
    }
    return first;
  };
  const run = ms => {
    const end = now + ms;
    for (let n = 0; n < MOST; n++) {
      const timer = due(end);
      if (!timer) break;
      now = Math.max(now, timer.at);
      if (timer.every) timer.at = now + timer.every; else timers.delete(timer.id);
      try {
        if (typeof timer.work === 'function') timer.work(...timer.given); else (0, eval)(timer.work);
      } catch (error) { console.error(error); }
    }
    now = end;
  };
  Object.defineProperty(window, '__clock', {value: {run, now: () => now}});
})();
