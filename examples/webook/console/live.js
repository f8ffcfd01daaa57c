// Replaces what is on the page by what the server renders now, every two seconds,
// and only while somebody looks.
"use strict";

const live = document.getElementById("live");
const lost = document.getElementById("lost");

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/console/live", { cache: "no-store", signal: AbortSignal.timeout(4000) });
    if (!answer.ok) throw new Error(answer.statusText);
    live.innerHTML = await answer.text();
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
}

setInterval(refresh, 2000);
