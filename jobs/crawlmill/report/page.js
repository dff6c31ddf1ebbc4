"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const picker = document.getElementById("label");
  if (!picker) return;
  const SVG = "http://www.w3.org/2000/svg", HIGH = 60;
  const whole = (n) => n.toLocaleString("en-US");
  const short = (x) => String(Number(x.toPrecision(5)));
  // Documents that pass with the limit at an edge; a place is the number of edges below a value (max) or up to it (min).
  const kept = (rule, op, edge) => rule.z + rule.n.reduce((sum, n, i) => sum + ((op === "min") === (rule.s + i > edge) ? n : 0), 0);

  // The limit that an edge stands for: steps from the recipe's, or of a plain grid where that lies outside.
  const limitAt = (rule, edge) => edge === rule.a ? rule.l : rule.g === undefined ? rule.l + (edge - rule.a) * rule.w : rule.g + (edge - (rule.a === 0 ? 1 : 0)) * rule.w;

  function draw(card) {
    const name = card.dataset.rule, op = data.rules[name], label = picker.value;
    const rule = (data.sliders[label] || {})[name], edge = Number(card.querySelector("input").value);
    const svg = card.querySelector("svg"), said = card.querySelector(".kept");
    card.classList.toggle("none", !rule);
    svg.replaceChildren();
    if (!rule) { said.textContent = "no limit here"; return; }
    const from = Math.min(rule.s, edge), to = Math.max(rule.s + rule.n.length, edge + 2, from + 12), most = Math.max(1, ...rule.n.map((n, i) => n + rule.o[i]));
    const wide = 100 / (to - from);
    const bar = (place, low, n, kind) => {
      if (!n) return;
      const box = document.createElementNS(SVG, "rect");
      const height = Math.max((HIGH - 4) * n / most, 0.6);
      for (const [key, value] of [["x", (place - from) * wide], ["width", wide * 0.86], ["y", HIGH - (HIGH - 4) * low / most - height], ["height", height], ["class", kind]]) box.setAttribute(key, value);
      svg.append(box);
    };
    rule.n.forEach((n, i) => {
      const place = rule.s + i, side = (op === "min") === (place > edge) ? "" : "drop";
      bar(place, 0, n, side);
      bar(place, n, rule.o[i], "other " + side);
    });
    const mark = document.createElementNS(SVG, "rect");
    for (const [key, value] of [["x", (edge + 1 - from) * wide - 0.35], ["width", 0.7], ["y", 0], ["height", HIGH], ["class", "mark"]]) mark.setAttribute(key, value);
    svg.append(mark);
    const limit = limitAt(rule, edge), now = kept(rule, op, rule.a), then = kept(rule, op, edge);
    card.querySelector("output").textContent = short(limit);
    card.querySelector("input").setAttribute("aria-valuetext", "limit " + short(limit) + ", " + whole(then) + " documents eligible");
    const change = then - now;
    said.textContent = whole(then) + " of " + whole(data.sizes[label].documents) + " eligible" + (change ? " (" + (change > 0 ? "+" : "−") + whole(Math.abs(change)) + ")" : "");
    said.dataset.kept = then;
  }

  const cards = [...document.querySelectorAll("#cards .card")];
  const back = () => cards.forEach((card) => {
    const rule = (data.sliders[picker.value] || {})[card.dataset.rule], input = card.querySelector("input");
    if (rule) { input.max = rule.m - 1; input.value = rule.a; }
    draw(card);
  });
  cards.forEach((card) => card.querySelector("input").addEventListener("input", () => draw(card)));
  picker.addEventListener("change", back);
  document.getElementById("reset").addEventListener("click", back);
  back();
})();
