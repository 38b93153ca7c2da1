"use strict";
(() => {
  const root = document.documentElement;
  // A test, or a reader with a console, sees here whether all went well.
  addEventListener("error", (event) => { root.dataset.error = String(event.message); });
  addEventListener("securitypolicyviolation", (event) => {
    root.dataset.refused = `${event.violatedDirective} ${event.blockedURI} ${root.dataset.refused || ""}`.trim();
  });

  const data = JSON.parse(document.getElementById("data").textContent);
  // On a narrow page the tools would lie over the chart.
  // Plotly's own tools include one that sends the data of a chart to its makers; it has no place here.
  const config = () => ({
    responsive: true, displaylogo: false, displayModeBar: narrow() ? false : "hover", plotlyServerURL: "",
    showSendToCloud: false, modeBarButtonsToRemove: ["sendChartToCloud", "sendDataToCloud"],
  });
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const narrow = () => root.clientWidth < 560;

  function layout(extra) {
    const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true };
    const base = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--ink"), size: narrow() ? 11 : 12, family: getComputedStyle(document.body).fontFamily },
      margin: { l: 56, r: 16, t: 28, b: 60 }, showlegend: false,
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: colour("--mark") },
    };
    const merged = Object.assign(base, extra);
    merged.xaxis = Object.assign({}, axis, extra.xaxis);
    merged.yaxis = Object.assign({}, axis, extra.yaxis);
    return merged;
  }

  function drawDistributions() {
    const choice = document.getElementById("measure");
    if (!choice) return;
    const measure = data.distributions[Number(choice.value)];
    const all = measure.all || measure.groups.flatMap((group) => group.values);
    Plotly.react("histogram", [{
      type: "histogram", x: all, nbinsx: 40, marker: { color: colour("--mark"), line: { width: 1, color: colour("--card") } },
      hovertemplate: "%{x}: %{y} shapes<extra></extra>",
    }], layout({ xaxis: { title: { text: measure.key } }, yaxis: { title: { text: "shapes" }, rangemode: "tozero" }, bargap: 0 }), config());
    const boxes = measure.groups.map((group) => ({
      type: "box", x: group.values, name: group.name, orientation: "h", marker: { color: colour("--mark"), size: 4 },
      line: { width: 1.4 }, boxpoints: group.values.length > 200 ? "outliers" : "all", jitter: 0.5, pointpos: 0,
    }));
    const height = Math.max(340, 80 + 34 * boxes.length);
    document.getElementById("boxes").style.height = `${height}px`;
    // The names come from folders: as text they would be read as plotly's markup.
    const names = measure.groups.map((group) => group.name.replace(/&/g, "&amp;").replace(/</g, "&lt;"));
    boxes.forEach((box, index) => { box.name = names[index]; });
    Plotly.react("boxes", boxes, layout({ height, xaxis: { title: { text: measure.key } }, yaxis: { type: "category", autorange: "reversed" } }), config());
  }

  function drawCurves() {
    if (!document.getElementById("curves")) return;
    const marks = ["--mark", "--mark-2", "--mark-3"];
    const dashes = ["solid", "dash", "dot"];
    const traces = data.curves.flatMap((curve, index) => {
      const tone = colour(marks[index]);
      const rgb = [1, 3, 5].map((at) => parseInt(tone.slice(at, at + 2), 16)).join(",");
      return [
        { x: curve.x.concat([...curve.x].reverse()), y: curve.high.concat([...curve.low].reverse()), fill: "toself",
          fillcolor: `rgba(${rgb},0.16)`, line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false },
        { x: curve.x, y: curve.y, name: curve.name, mode: "lines+markers", line: { color: tone, dash: dashes[index], width: 2 } },
      ];
    });
    const steps = data.curves[0].x;
    const log = steps.length > 2 && steps[0] > 0 && steps[steps.length - 1] / steps[0] > 8;
    Plotly.react("curves", traces, layout({
      showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, margin: { l: 56, r: 16, t: 40, b: 60 },
      xaxis: { title: { text: "threshold, a distance" }, type: log ? "log" : "linear", tickvals: steps, ticktext: steps.map(String) },
      yaxis: { title: { text: "mean over shapes" }, range: [0, 1.02] },
    }), config());
  }

  let open = null;
  function drawTurned(stage, index, side) {
    const turn = data.turns[index];
    const shape = turn[side];
    const bar = { title: { text: "distance" }, thickness: 12, len: 0.7, tickfont: { color: colour("--ink") } };
    const scale = { colorscale: turn.colours, cmin: 0, cmax: turn.largest || 1, colorbar: bar };
    const trace = shape.i
      ? Object.assign({ type: "mesh3d", x: shape.x, y: shape.y, z: shape.z, i: shape.i, j: shape.j, k: shape.k,
          intensity: shape.error, flatshading: true, lighting: { ambient: 0.75, diffuse: 0.45, specular: 0.03, roughness: 0.9,
            facenormalsepsilon: 1e-15, vertexnormalsepsilon: 1e-15 },
          hovertemplate: "distance %{intensity:.4g}<extra></extra>" }, scale)
      : { type: "scatter3d", mode: "markers", x: shape.x, y: shape.y, z: shape.z, hovertemplate: "distance %{marker.color:.4g}<extra></extra>",
          marker: Object.assign({ size: 2.2, color: shape.error }, scale) };
    const hidden = { visible: false };
    const eye = turn.up === "z" ? { x: 0.93, y: -1.5, z: 0.82 } : { x: 0.93, y: 0.82, z: 1.5 };
    const up = { x: 0, y: turn.up === "y" ? 1 : 0, z: turn.up === "z" ? 1 : 0 };
    const figure = layout({
      margin: { l: 0, r: 0, t: 0, b: 0 }, uirevision: index,
      scene: { aspectmode: "data", xaxis: hidden, yaxis: hidden, zaxis: hidden, camera: { eye, up, projection: { type: "orthographic" } }, dragmode: "orbit" },
    });
    stage.querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.side === side)));
    open = { stage, index, side };
    return Plotly.react(stage.querySelector(".turned"), [trace], figure, config());
  }

  function close() {
    if (!open) return;
    // A browser keeps few 3D contexts: one view at a time.
    Plotly.purge(open.stage.querySelector(".turned"));
    open.stage.hidden = true;
    open.stage.previousElementSibling.textContent = "Turn it in 3D";
    open = null;
  }

  function turn(button) {
    const stage = button.nextElementSibling;
    const again = open && open.stage === stage;
    close();
    if (again) return null;
    stage.hidden = false;
    button.textContent = "Close the 3D view";
    const sides = stage.querySelector(".sides");
    if (!sides.children.length) {
      for (const [side, words] of [["pred", "Prediction"], ["true", "Truth"]]) {
        const choice = document.createElement("button");
        choice.type = "button";
        choice.dataset.side = side;
        choice.textContent = words;
        choice.addEventListener("click", () => drawTurned(stage, Number(button.dataset.turn), side));
        sides.append(choice);
      }
    }
    return drawTurned(stage, Number(button.dataset.turn), "pred");
  }

  async function start() {
    const choice = document.getElementById("measure");
    if (choice) choice.addEventListener("change", drawDistributions);
    const buttons = [...document.querySelectorAll(".turn")];
    buttons.forEach((button) => button.addEventListener("click", () => turn(button)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      drawDistributions();
      drawCurves();
      if (open) drawTurned(open.stage, open.index, open.side);
    });
    drawDistributions();
    drawCurves();
    // `report.html#turn-2` opens that shape's view; no element has the name, so the page stays at its top.
    const named = buttons.find((button) => `#turn-${button.dataset.turn}` === location.hash);
    if (named) await turn(named);
    root.dataset.ready = "yes";
  }
  start().catch((error) => { root.dataset.error = String(error); });
})();
