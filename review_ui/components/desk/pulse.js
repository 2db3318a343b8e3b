// Hands on what the pages' server says every moment; it is small, so that nothing large travels so often.

export default function render({ data }) {
  window.dispatchEvent(new CustomEvent("screenalyzer:pulse", { detail: data }));
}
