// The session's chart: pressure as on an anaesthetic record (v systolic, ^ diastolic), with the
// pump beneath it and slim strips for heart rate, SpO2, state of mind and dose given.
import uPlot from "../vendor/uplot/uPlot.esm.js";
import { fill, gettext } from "./words.js";

const LEFT_PX = 46;
const RIGHT_PX = 14;
const SERIES = {
  systolic_mmhg: { label: gettext("systolic"), colour: "--systolic", mark: "v" },
  diastolic_mmhg: { label: gettext("diastolic"), colour: "--diastolic", mark: "^" },
  heart_rate_bpm: { label: gettext("heart rate"), colour: "--heart", mark: "o" },
  spo2_percent: { label: "SpO2", colour: "--spo2", mark: "o" },
  dissociation_0_10: { label: gettext("dissociation"), colour: "--heart", mark: "o" },
  distress_0_10: { label: gettext("distress"), colour: "--ink-2", mark: "v" },
  nausea_0_10: { label: gettext("nausea"), colour: "--spo2", mark: "^" },
  sedation_moaas: { label: "MOAA/S", colour: "--ink", mark: "s" },
};
const STRIPS = [
  { id: "chart-pressure", title: gettext("v systolic   ^ diastolic, mmHg"), names: ["systolic_mmhg", "diastolic_mmhg"], height: 236, low: 60, high: 170, limits: "systolic_mmhg", main: true },
  { id: "chart-heart", title: gettext("Heart rate, /min"), names: ["heart_rate_bpm"], height: 76, low: 50, high: 110, limits: "heart_rate_bpm" },
  { id: "chart-spo2", title: "SpO2, %", names: ["spo2_percent"], height: 70, low: 90, high: 100, limits: "spo2_percent" },
  { id: "chart-state", title: gettext("● dissociation   v distress   ^ nausea, of 10   □ MOAA/S, of 5"), names: ["dissociation_0_10", "distress_0_10", "nausea_0_10", "sedation_moaas"], height: 76, low: 0, high: 10, hideEmpty: true },
  { id: "chart-dose", title: gettext("Dose given, mg"), names: [], height: 84, low: 0, high: 10, dose: true, axis: true },
  { id: "chart-conc", title: "", names: [], height: 84, low: 0, high: 10, conc: true },
];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class SessionChart {
  constructor() {
    this.plots = [];
    this.data = null;
    new ResizeObserver(() => this.data && this.#fit()).observe(
      document.getElementById("chart-pressure"),
    );
  }

  update(data) {
    this.data = data;
    this.plots.forEach((plot) => plot.destroy());
    this.plots = STRIPS.flatMap((strip) => {
      const root = document.getElementById(strip.id);
      if (strip.conc) {
        root.hidden = !data.conc;
        return root.hidden ? [] : [this.#plot(root, strip)];
      }
      const empty = strip.names.every((name) => !data.series[name].length);
      root.hidden = Boolean(strip.hideEmpty && empty);
      return root.hidden ? [] : [this.#plot(root, strip)];
    });
  }

  #fit() {
    const width = document.getElementById("chart-pressure").clientWidth;
    for (const plot of this.plots) {
      if (plot.width !== width) plot.setSize({ width, height: plot.height });
    }
  }

  #table(strip) {
    if (strip.conc) return [this.data.conc.points.map((p) => p[0]), this.data.conc.points.map((p) => p[3])];
    if (strip.dose) {
      const dose = this.data.dose;
      return [dose.map((p) => p[0]), dose.map((p) => p[1])];
    }
    return uPlot.join(
      strip.names.map((name) => {
        const points = this.data.series[name];
        return [points.map((p) => p[0]), points.map((p) => p[1])];
      }),
    );
  }

  #range(strip) {
    const { data } = this;
    if (strip.dose) return [0, data.programmed_mg * 1.08];
    if (strip.conc) return [0, Math.max(...data.conc.points.map((p) => p[5])) * 1.05];
    const values = strip.names.flatMap((name) => [
      ...data.series[name].map((p) => p[1]),
      ...(data.forecast?.[name] ?? []).flatMap((p) => [p[1], p[5]]),
    ]);
    // A limit is on the chart before it is reached.
    const near = strip.main ? [170] : [];
    const low = Math.min(strip.low, ...values.map((v) => v - 4));
    const high = Math.max(strip.high, ...near, ...values.map((v) => v + (strip.main ? 10 : 4)));
    return [low, strip.id === "chart-spo2" ? 100.5 : high];
  }

  #plot(root, strip) {
    const { data } = this;
    const ink = css("--ink-2");
    const font = '12px "Inter", system-ui, sans-serif';
    const x = [data.from - 120, Math.max(data.to, data.now + 600) + 180];
    const series = strip.conc
      ? [{ stroke: css("--accent"), width: 1.5, points: { show: false } }]
      : strip.dose
      ? [{ stroke: css("--accent"), width: 2, fill: css("--accent-soft"), points: { show: false } }]
      : strip.names.map((name) => ({
          stroke: css(SERIES[name].colour),
          width: 1.5,
          spanGaps: true,
          points: { show: false },
        }));
    const plot = new uPlot(
      {
        width: root.clientWidth,
        height: strip.height,
        padding: [18, RIGHT_PX, strip.main ? 16 : 4, 0],
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), data.time_zone),
        legend: { show: false },
        cursor: { sync: { key: "session" }, drag: { x: false, y: false }, y: false },
        scales: { x: { range: () => x }, y: { range: () => this.#range(strip) } },
        axes: [
          {
            show: Boolean(strip.axis || strip.main),
            stroke: ink,
            font,
            size: 26,
            space: 70,
            values: [
              [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
              [1, "{HH}:{mm}", null, null, null, null, null, null, 1],
            ],
            grid: { stroke: css("--line"), width: 1 },
            ticks: { show: false },
          },
          {
            stroke: ink,
            font,
            size: LEFT_PX,
            space: strip.main ? 32 : 22,
            ...(strip.dose ? { splits: () => [0, data.programmed_mg] } : {}),
            ...(strip.hideEmpty ? { splits: () => [0, 5, 10] } : {}),
            grid: { stroke: css("--line"), width: 1 },
            ticks: { show: false },
          },
        ],
        series: [{}, ...series],
        hooks: {
          drawClear: [(u) => this.#beneath(u, strip)],
          draw: [(u) => this.#above(u, strip)],
        },
      },
      this.#table(strip),
      root,
    );
    return plot;
  }

  #beneath(u, strip) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    this.#forecast(u, strip);
    for (const limit of this.data.limits.filter((item) => item.quantity === strip.limits)) {
      const y = u.valToPos(limit.value, "y", true);
      line(ctx, left, y, left + width, y, css(limit.priority === "red" ? "--red" : "--amber-line"), limit.priority === "red" ? [] : [6, 4]);
      if (strip.main) {
        const priority = limit.priority === "red" ? gettext("red") : gettext("amber");
        const whole = fill(gettext("%(value)s %(priority)s, clinic policy"), { value: limit.value, priority });
        const where = width > 560 * pxr() ? whole : priority;
        text(ctx, where, left + 4 * pxr(), y - 4 * pxr(), css(limit.priority === "red" ? "--red" : "--amber"), "left");
      }
    }
    for (const name of strip.names) {
      const base = this.data.baseline[name];
      if (base === undefined || !strip.main) continue;
      const y = u.valToPos(base, "y", true);
      line(ctx, left, y, left + width, y, css("--line-strong"), [2, 4]);
      if (name === "systolic_mmhg") {
        text(ctx, gettext("baseline"), left + width - 4 * pxr(), y + 14 * pxr(), css("--ink-2"), "right");
      }
    }
    ctx.restore();
  }

  /** What is likely, behind what was measured: 90 % and 50 % as bands, the median dashed. */
  #forecast(u, strip) {
    const { ctx } = u;
    const sets = strip.conc
      ? [["--accent", this.data.conc.points]]
      : strip.names.map((name) => [SERIES[name].colour, this.data.forecast?.[name] ?? []]);
    for (const [colour, points] of sets) {
      if (points.length < 2) continue;
      const x = (point) => u.valToPos(point[0], "x", true);
      const y = (value) => u.valToPos(value, "y", true);
      ctx.fillStyle = css(colour);
      for (const [low, high, alpha] of [[1, 5, 0.1], [2, 4, 0.16]]) {
        ctx.globalAlpha = alpha;
        ctx.beginPath();
        points.forEach((point, index) => ctx[index ? "lineTo" : "moveTo"](x(point), y(point[high])));
        [...points].reverse().forEach((point) => ctx.lineTo(x(point), y(point[low])));
        ctx.closePath();
        ctx.fill();
      }
      ctx.globalAlpha = 0.8;
      ctx.strokeStyle = css(colour);
      ctx.lineWidth = pxr();
      ctx.setLineDash([2 * pxr(), 3 * pxr()]);
      ctx.beginPath();
      points.forEach((point, index) => ctx[index ? "lineTo" : "moveTo"](x(point), y(point[3])));
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.globalAlpha = 1;
    }
    if (!strip.main || !this.data.home) return;
    const [from, middle, to] = this.data.home.map((at) => u.valToPos(at, "x", true));
    const { top, height } = u.bbox;
    ctx.globalAlpha = 0.14;
    ctx.fillStyle = css("--accent");
    ctx.fillRect(from, top, Math.max(to - from, 2 * pxr()), height);
    ctx.globalAlpha = 1;
    line(ctx, middle, top, middle, top + height, css("--accent"), []);
    text(ctx, gettext("ready to go home (forecast)"), middle - 4 * pxr(), top + 40 * pxr(), css("--accent"), "right");
  }

  #above(u, strip) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const { data } = this;
    const scale = pxr();
    const titled = width > 560 * scale ? gettext("%(title)s: middle, half and nine in ten") : "%(title)s";
    text(ctx, strip.conc ? fill(titled, { title: data.conc.title }) : strip.title, left, top - 6 * scale, css("--ink-2"), "left");
    for (const name of strip.names) {
      ctx.strokeStyle = ctx.fillStyle = css(SERIES[name].colour);
      for (const [at, value] of data.series[name]) {
        mark(ctx, SERIES[name].mark, u.valToPos(at, "x", true), u.valToPos(value, "y", true), scale);
      }
      for (const [at, value] of data.artefacts[name] ?? []) {
        // One that lies beyond the chart is drawn at its edge: that it was there matters.
        const y = Math.min(Math.max(u.valToPos(value, "y", true), top + 6 * scale), top + height - 6 * scale);
        crossed(ctx, u.valToPos(at, "x", true), y, scale);
      }
    }
    const now = u.valToPos(data.now, "x", true);
    if (data.open && now >= left && now <= left + width) {
      line(ctx, now, top, now, top + height, css("--ink"), []);
      if (strip.main) text(ctx, gettext("now"), now + 4 * scale, top + 12 * scale, css("--ink"), "left");
    }
    if (strip.dose && data.ends_at && data.dose.length) {
      const [at, given] = data.dose[data.dose.length - 1];
      line(ctx, u.valToPos(at, "x", true), u.valToPos(given, "y", true), u.valToPos(data.ends_at, "x", true), u.valToPos(data.programmed_mg, "y", true), css("--accent"), [4, 4]);
    }
    if (!strip.main) return;
    if (data.home_not_before) {
      const home = u.valToPos(data.home_not_before, "x", true);
      line(ctx, home, top, home, top + height, css("--accent"), [2, 3]);
      text(ctx, gettext("home not before (clinic policy)"), home - 4 * scale, top + 26 * scale, css("--accent"), "right");
    }
    // The pump's bar along the foot, and the events above it.
    const foot = top + height;
    ctx.fillStyle = css("--accent");
    for (const part of data.pump) {
      const from = u.valToPos(part.from, "x", true);
      ctx.fillRect(from, foot - 6 * scale, Math.max(u.valToPos(part.to, "x", true) - from, 1), 6 * scale);
    }
    if (data.ends_at) {
      const from = u.valToPos(data.now, "x", true);
      ctx.strokeStyle = css("--accent");
      ctx.lineWidth = scale;
      ctx.setLineDash([]);
      ctx.strokeRect(from, foot - 6 * scale, Math.max(u.valToPos(data.ends_at, "x", true) - from, 0), 6 * scale);
    }
    let free = -Infinity;
    for (const event of [...data.events].sort((a, b) => a.at - b.at)) {
      // Letters that would cover each other move aside; the tick stays where it belongs.
      const at = u.valToPos(event.at, "x", true);
      const place = Math.max(at, free);
      free = place + 16 * scale;
      line(ctx, at, foot - 14 * scale, at, foot, css("--ink"), []);
      ctx.fillStyle = css("--paper");
      ctx.fillRect(place - 7 * scale, foot - 30 * scale, 14 * scale, 16 * scale);
      ctx.strokeStyle = css("--ink-2");
      ctx.strokeRect(place - 7 * scale, foot - 30 * scale, 14 * scale, 16 * scale);
      text(ctx, event.letter, place, foot - 18 * scale, css("--ink"), "center", 600);
    }
  }
}

const pxr = () => devicePixelRatio || 1;

function line(ctx, x1, y1, x2, y2, colour, dash) {
  ctx.beginPath();
  ctx.setLineDash(dash.map((length) => length * pxr()));
  ctx.strokeStyle = colour;
  ctx.lineWidth = pxr();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
  ctx.setLineDash([]);
}

function text(ctx, words, x, y, colour, align, weight = 450) {
  ctx.font = `${weight} ${12 * pxr()}px "Inter", system-ui, sans-serif`;
  ctx.textAlign = align;
  ctx.textBaseline = "alphabetic";
  ctx.fillStyle = colour;
  ctx.fillText(words, x, y);
}

/** A value that was kept and does not count: a hollow circle, crossed. */
function crossed(ctx, x, y, scale) {
  const r = 4 * scale;
  ctx.lineWidth = 1.5 * scale;
  ctx.setLineDash([]);
  ctx.beginPath();
  ctx.arc(x, y, r, 0, 2 * Math.PI);
  ctx.moveTo(x - r * 1.4, y - r * 1.4);
  ctx.lineTo(x + r * 1.4, y + r * 1.4);
  ctx.stroke();
}

function mark(ctx, kind, x, y, scale) {
  const r = 4 * scale;
  ctx.lineWidth = 2 * scale;
  ctx.setLineDash([]);
  ctx.beginPath();
  if (kind === "v") {
    ctx.moveTo(x - r, y - r * 1.4);
    ctx.lineTo(x, y);
    ctx.lineTo(x + r, y - r * 1.4);
  } else if (kind === "^") {
    ctx.moveTo(x - r, y + r * 1.4);
    ctx.lineTo(x, y);
    ctx.lineTo(x + r, y + r * 1.4);
  } else if (kind === "s") {
    ctx.rect(x - r * 0.8, y - r * 0.8, r * 1.6, r * 1.6);
  } else {
    ctx.arc(x, y, r * 0.75, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.stroke();
}
