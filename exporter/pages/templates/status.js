"use strict";
// Keeps the page up to date: the server says when there is something new, the page asks for itself again and takes over
// what is different. Without this script the page is the same, as of when it was loaded.
document.addEventListener("DOMContentLoaded", () => {
  const page = document.getElementById("page"), note = document.getElementById("live");
  if (!page || !page.dataset.live || !window.EventSource || !window.fetch) return;
  let source = null, timer = 0, busy = false, again = false, seen = Date.now(), heard = seen;

  const busyHere = () => {
    const active = document.activeElement, chosen = window.getSelection();
    return (active && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName)) || (chosen && !chosen.isCollapsed);
  };
  const tell = (text) => { if (note.textContent !== text) { note.textContent = text; note.hidden = !text; } };
  const since = () => new Date(seen).toISOString().slice(11, 19) + " UTC";
  const lost = () => tell("Not live: no answer since " + since());

  // Makes `a` like `b` where they differ, so that focus, what is open and where one has scrolled to stay.
  const take = (a, b) => {
    if (a.isEqualNode(b)) return;
    if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName) { a.replaceWith(b); return; }
    if (a.nodeType !== Node.ELEMENT_NODE) { a.nodeValue = b.nodeValue; return; }
    for (const { name } of [...a.attributes]) if (!b.hasAttribute(name) && name !== "open") a.removeAttribute(name);
    for (const { name, value } of b.attributes) if (a.getAttribute(name) !== value) a.setAttribute(name, value);
    const old = [...a.childNodes], fresh = [...b.childNodes];
    fresh.forEach((node, i) => { if (i < old.length) take(old[i], node); else a.append(node); });
    old.slice(fresh.length).forEach((node) => node.remove());
  };

  const update = async () => {
    if (busy || busyHere()) { again = true; return; }
    busy = true; again = false;
    try {
      const answer = await fetch(location.href, { headers: { "X-Page-Update": "1" }, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(20000) });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("page");
      if (fresh && !busyHere()) { take(page, fresh); seen = Date.now(); tell(""); }
    } catch { lost(); }
    busy = false;
  };
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(page.dataset.live);
    heard = Date.now();
    source.addEventListener("changed", () => { heard = Date.now(); update(); });
    source.addEventListener("here", () => { heard = Date.now(); });
    source.onerror = () => {
      lost();
      // The server has no place for one more: ask now and then.
      if (source && source.readyState === EventSource.CLOSED) { source = null; clearTimeout(timer); timer = setTimeout(() => { update(); open(); }, 15000); }
    };
  };
  setInterval(() => {
    // A connection that is cut in silence, or a server that hangs, gives no error: the server says every 15 s that it is there.
    if (source && Date.now() - heard > 40000) { source.close(); source = null; lost(); open(); }
    if (again && busyHere() && Date.now() - seen > 15000) tell("Paused since " + since() + ", while something is selected or filled in");
  }, 5000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { if (source) source.close(); source = null; } else open();
  });
  document.addEventListener("focusout", () => setTimeout(() => { if (again) update(); }, 0));
  document.addEventListener("selectionchange", () => { if (again && !busyHere()) update(); });
  open();
});
