/* Pages work without this. With it they are live: when the server says that something changed, the page's own fragment
   is fetched and merged in, so focus, scrolling, selection and open details stay. Logs are followed by their offset.
   <body data-events="/…" data-names="a b" data-every="5">  what to listen to, and the safety net in seconds
   #live  what is swapped: the answer to this page's address with fragment=1 */
"use strict";
(() => {
  const body = document.body, live = document.getElementById("live"), pulse = document.getElementById("pulse");
  document.documentElement.classList.add("script");
  const say = (text, on) => { if (pulse) { pulse.hidden = false; pulse.textContent = text; pulse.className = "pulse " + (on ? "on" : "off"); } };
  const past = () => new URLSearchParams(location.search).has("at");
  const quiet = (ms) => new Promise((done) => setTimeout(done, ms));

  let old = 0;
  async function fetchHtml(url) {
    const answer = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.status === 404) throw new Error("this is gone; the page shows what was last seen");
    const later = Number(answer.headers.get("Retry-After"));
    clearTimeout(old);
    if (answer.ok && later > 0) old = setTimeout(refresh, 1000 * later);  // it is old already
    if (!answer.ok) throw new Error("the server answers " + answer.status + "; trying again");
    return new DOMParser().parseFromString(await answer.text(), "text/html").body;
  }

  const keyOf = (node) => node.nodeType === 1 ? node.id || node.dataset.key || "" : "";
  function merge(old, fresh) {  // make `old` look like `fresh`, touching only what differs
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== 1) { old.data = fresh.data; return; }
    const busy = old === document.activeElement && "value" in old;
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    if (old.tagName === "INPUT" && !busy && old.value !== fresh.value) old.value = fresh.value;
    mergeChildren(old, fresh);
  }
  function mergeChildren(old, fresh) {
    const keyed = new Map();
    for (const child of old.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      const key = keyOf(next);
      let match = key ? keyed.get(key) : at;
      if (!key) while (match && keyOf(match)) match = match.nextSibling;
      if (match && match.nodeName === next.nodeName && (!key || keyOf(match) === key)) {
        if (match === at) at = at.nextSibling; else old.insertBefore(match, at);
        merge(match, next);
      } else old.insertBefore(document.importNode(next, true), at);
    }
    while (at) { const rest = at.nextSibling; at.remove(); at = rest; }
  }

  let running = false, again = false;
  async function refresh() {  // one at a time; whatever comes meanwhile is one more
    if (!live) return;
    if (running) { again = true; return; }
    running = true;
    try {
      do {
        again = false;
        const url = new URL(location.href);
        url.searchParams.set("fragment", "1");
        const fresh = await fetchHtml(url);
        if (!again || !past()) { mergeChildren(live, fresh); document.dispatchEvent(new Event("merged")); }
        if (again) await quiet(past() ? 30 : 250);
      } while (again);
      if (past()) say("looking at the past", false); else if (!body.dataset.events || source?.readyState === 1) say("live", true);
    } catch (error) { say(error instanceof TypeError ? "the server does not answer; trying again" : error.message, false); }
    running = false;
  }

  let source = null, leaving = 0;
  const changed = () => { if (!past()) refresh(); };
  function listen() {
    source = new EventSource(body.dataset.events);
    source.onopen = () => { say(past() ? "looking at the past" : "live", !past()); changed(); };  // also for what we missed
    source.onerror = () => { say("connection lost; trying again", false); };
    for (const name of ["message", ...(body.dataset.names || "").split(" ").filter(Boolean)]) source.addEventListener(name, changed);
  }
  if (live && body.dataset.events) {  // a page that is not seen for a while lets go: browsers open few connections
    listen();
    document.addEventListener("visibilitychange", () => {
      clearTimeout(leaving);
      if (document.hidden) leaving = setTimeout(() => { source?.close(); source = null; }, 5000); else if (!source) listen();
    });
  }
  if (live && body.dataset.every) setInterval(() => { if (!past() && !document.hidden) refresh(); }, 1000 * body.dataset.every);

  document.addEventListener("input", (event) => {  // the slider of time
    const slider = event.target.closest("input[data-travel]");
    if (!slider) return;
    const url = new URL(location.href);
    if (slider.value === slider.max) url.searchParams.delete("at"); else url.searchParams.set("at", slider.value);
    history.replaceState(null, "", url);
    refresh();
  });

  const age = (seconds) => { for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) if (seconds >= size) return Math.floor(seconds / size) + " " + unit; return Math.max(0, Math.floor(seconds)) + " s"; };
  function tell() {
    const now = Date.now() / 1000;
    for (const node of document.querySelectorAll("time[data-since]")) { const text = age(now - node.dataset.since); if (node.textContent !== text) node.textContent = text; }
    for (const node of document.querySelectorAll("time:not([title])")) node.title = new Date(node.dateTime).toLocaleString();
  }
  tell(); setInterval(tell, 1000); document.addEventListener("merged", tell);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const search = document.querySelector("input[type=search]");
    if (event.key === "/" && search) { event.preventDefault(); search.focus(); search.select(); }
  });
  document.addEventListener("change", (event) => { if (event.target.matches("select[data-submit]")) event.target.form.requestSubmit(); });

  const log = document.getElementById("log"), list = log && log.querySelector("ol"), button = document.getElementById("follow");
  if (!log || !button) return;
  const state = { part: 0, next: log.dataset.next, inode: log.dataset.inode, ended: false, follow: log.dataset.follow === "1" };
  const atEnd = () => log.scrollTop + log.clientHeight >= log.scrollHeight - 30;
  const show = () => { button.hidden = false; button.setAttribute("aria-pressed", String(state.follow)); say(state.follow ? "following" : "paused", state.follow); };
  const part = (number, offset) => { const url = new URL(log.dataset.url, location.href); url.searchParams.set("part", number); url.searchParams.set("offset", offset); url.searchParams.set("fragment", "1"); return fetchHtml(url).then((root) => root.querySelector(".chunk")); };
  function append(chunk) {
    const down = state.follow;
    for (const old of list.querySelectorAll(".partial")) old.remove();
    for (const line of [...chunk.querySelectorAll("li")]) list.append(document.importNode(line, true));
    while (list.childElementCount > 5000) list.firstElementChild.remove();
    state.next = chunk.dataset.next;
    if (down) log.scrollTop = log.scrollHeight;
  }
  function gap(text) { const line = document.createElement("li"); line.className = "gap"; line.textContent = text; list.append(line); }
  function keepPartial() { for (const old of list.querySelectorAll(".partial")) old.classList.remove("partial"); }
  async function step() {  // one piece of the file that we are in; true: ask again at once
    const chunk = await part(state.part, state.next), files = chunk ? (chunk.dataset.parts || "").trim().split(" ").map((pair) => pair.split(":")) : [];
    if (!chunk || !chunk.dataset.inode) return false;
    state.ended = chunk.dataset.live !== "1";
    state.inode ||= chunk.dataset.inode;
    const move = (number, inode) => { state.part = Number(number); if (inode !== state.inode) { keepPartial(); state.next = 0; } state.inode = inode; return true; };
    if (chunk.dataset.inode !== state.inode) {  // the files were rotated: find ours again
      const ours = files.find(([, inode]) => inode === state.inode);
      if (ours) return move(ours[0], ours[1]);
      gap("the log was rotated away; lines may be missing here");
      return move(state.part, chunk.dataset.inode);
    }
    if (Number(chunk.dataset.size) < Number(state.next)) { keepPartial(); gap("the log was made shorter"); state.next = 0; return true; }
    if (chunk.querySelector("li") || chunk.dataset.next !== String(state.next)) append(chunk);
    if (chunk.dataset.more === "1") return true;
    const newer = state.part > 0 && files.find(([number]) => Number(number) === state.part - 1);
    return newer ? move(newer[0], newer[1]) : false;
  }
  async function follow() {
    for (;;) {
      await quiet(document.hidden ? 5000 : 500);
      if (!state.follow) continue;
      try {
        const before = state.ended;
        let rounds = 0;
        while (rounds++ < 200 && await step());
        if (state.ended && before) { say("the run has ended", false); log.dataset.live = ""; button.hidden = true; return; }
        say("following", true);
      } catch (error) { say(error instanceof TypeError ? "the server does not answer; trying again" : error.message, false); }
    }
  }
  button.addEventListener("click", () => { state.follow = !state.follow; if (state.follow) log.scrollTop = log.scrollHeight; show(); });
  log.addEventListener("scroll", () => { if (log.dataset.live === "1" && state.follow !== atEnd()) { state.follow = atEnd(); show(); } });
  if (state.follow && !location.hash) log.scrollTop = log.scrollHeight;
  if (log.dataset.live === "1") { show(); follow(); }
})();
