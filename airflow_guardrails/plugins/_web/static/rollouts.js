export function mount(element, options) {
  const shown = document.createElement("pre");
  shown.textContent = JSON.stringify(options);
  element.replaceChildren(shown);
  return () => element.replaceChildren();
}
