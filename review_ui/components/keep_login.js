// Exchanges the ticket of a login for a cookie that scripts cannot read, so that the login outlives a reload.

const claimed = new Set();

export default function ({ data }) {
  if (claimed.has(data.ticket)) return;
  claimed.add(data.ticket);
  fetch(new URL(data.path, window.location.origin), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ticket: data.ticket }),
    credentials: "same-origin",
  }).catch(() => claimed.delete(data.ticket));
}
