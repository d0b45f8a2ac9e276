// Lets a page by link open again while the line is cut. It keeps such pages and the files they need,
// always asks the network first, and never answers for what is entered or for the state.

const KEEP = "openketamine-home-1";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const request = event.request;
  const url = new URL(request.url);
  const own = url.origin === self.location.origin && request.method === "GET";
  const page = request.mode === "navigate";
  const file = url.pathname.startsWith("/static/");
  if (!own || !(page || file)) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const kept = await caches.open(KEEP);
  try {
    const fresh = await fetch(request);
    if (fresh.ok) await kept.put(request, fresh.clone());
    return fresh;
  } catch (error) {
    const before = await kept.match(request, { ignoreVary: true });
    if (before) return before;
    throw error;
  }
}
