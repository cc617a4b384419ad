// The texts of a page that are hard to read: `"2.9 text"`, by WCAG's contrast ratio below 4.5.
() => {
  const LEAST = 4.5;

  function colour(text) {
    const [, name, inner] = /^(rgba?)\((.*)\)$/.exec(text) ?? [];
    if (!name) throw new Error(`a colour of another kind: ${text}`);
    const [red, green, blue, alpha = 1] = inner.split(/[ ,/]+/).map(Number);
    return { channels: [red, green, blue], alpha };
  }

  const over = (upper, lower) => upper.channels.map((value, i) => value * upper.alpha + lower[i] * (1 - upper.alpha));

  function background(element) {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const found = colour(getComputedStyle(one).backgroundColor);
      if (found.alpha > 0) layers.push(found);
      if (found.alpha === 1) break;
    }
    return layers.reduceRight((lower, layer) => over(layer, lower), [255, 255, 255]);
  }

  function luminance(channels) {
    const [red, green, blue] = channels.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  const found = [];
  let count = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (element.closest(".unseen, :disabled, option")) continue;
    count += 1;
    const ground = background(element);
    const [light, dark] = [luminance(over(colour(getComputedStyle(element).color), ground)), luminance(ground)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < LEAST) found.push(`${ratio.toFixed(2)} ${text.slice(0, 60)}`);
  }
  return { count, found };
}
