// Replaces what is on the page by what the server renders now, every two seconds,
// and only while somebody looks. Who is in the middle of something is left alone.
"use strict";

const live = document.getElementById("live");
const lost = document.getElementById("lost");

function busy() {
  const selection = document.getSelection();
  return document.hidden || !(selection === null || selection.isCollapsed);
}

async function refresh() {
  if (busy()) return;
  try {
    const answer = await fetch(live.dataset.from, { cache: "no-store", signal: AbortSignal.timeout(4000) });
    if (!answer.ok) throw new Error(answer.statusText);
    const text = await answer.text();
    if (busy()) return;
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    live.innerHTML = text;
    if (focused !== "") document.getElementById(focused)?.focus({ preventScroll: true });
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
}

if (live !== null) setInterval(refresh, 2000);
