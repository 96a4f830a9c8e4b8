// Zoom for a flame graph in a file of its own: a click on a box gives it the whole width, a click on
// the topmost box or Escape shows all again. Without scripts the picture stays as it was drawn.
(function () {
  "use strict";
  var ADVANCE = 7.25, PADDING = 4, NS = "http://www.w3.org/2000/svg";
  var boxes = Array.prototype.map.call(document.querySelectorAll("g.box"), function (g) {
    var rect = g.querySelector("rect");
    return {
      g: g, rect: rect, text: g.querySelector("text"), name: g.getAttribute("data-name"),
      x: +rect.getAttribute("x"), y: +rect.getAttribute("y"), width: +rect.getAttribute("width")
    };
  });
  if (!boxes.length) { return; }
  var whole = boxes[0];

  // The name or both of its ends, as many characters as the box has room for; where some are wide,
  // as many as if all were.
  function fitted(name, width) {
    var room = Math.floor((width - 2 * PADDING) / ADVANCE);
    if (/[\u1100-\uffff]/.test(name.replace(/…/g, ""))) { room = Math.floor(room / 2); }
    if (name.length <= room) { return name; }
    if (room < 3) { return ""; }
    var head = Math.floor((room - 1) * 2 / 5);
    return name.slice(0, head) + "…" + name.slice(name.length - (room - 1 - head));
  }

  function zoom(to) {
    var factor = whole.width / to.width, right = whole.x + whole.width;
    boxes.forEach(function (box) {
      var from = Math.max(whole.x, whole.x + (box.x - to.x) * factor);
      var until = Math.min(right, whole.x + (box.x + box.width - to.x) * factor);
      var width = until - from;
      box.g.style.display = width > 0.05 ? "" : "none";
      if (width <= 0.05) { return; }
      box.rect.setAttribute("x", from);
      box.rect.setAttribute("width", width);
      if (!box.text) {
        box.text = document.createElementNS(NS, "text");
        box.text.setAttribute("y", box.y + 13);
        box.g.appendChild(box.text);
      }
      box.text.setAttribute("x", from + PADDING);
      box.text.textContent = fitted(box.name, width);
    });
  }

  boxes.forEach(function (box) { box.g.addEventListener("click", function () { zoom(box); }); });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") { zoom(whole); }
  });
})();
