// Charts as SVG: each says in words what it shows.
import { count, percent } from "./text.js";

const WIDTH = 320;
const HEIGHT = 200;
const LEFT = 38;
const BOTTOM = 34;
const TOP = 8;
const RIGHT = 8;
const x = (share) => LEFT + share * (WIDTH - LEFT - RIGHT);

const scale = (low, high) => (value) =>
  HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - BOTTOM - TOP);

function Frame({ title, ticks, labels, y, across, up, children }) {
  return (
    <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={title}>
      {ticks.map((tick, at) => (
        <g key={tick}>
          <line class="rule" x1={LEFT} x2={WIDTH - RIGHT} y1={y(tick)} y2={y(tick)} />
          <text class="tick" x={LEFT - 5} y={y(tick) + 3} text-anchor="end">{labels[at]}</text>
        </g>
      ))}
      {[0, 0.25, 0.5, 0.75, 1].map((share) => (
        <text class="tick" key={share} x={x(share)} y={HEIGHT - BOTTOM + 13} text-anchor="middle">
          {share * 100}
        </text>
      ))}
      <text class="axis" x={x(0.5)} y={HEIGHT - 5} text-anchor="middle">{across}</text>
      <text class="axis" transform={`translate(9 ${(HEIGHT - BOTTOM) / 2}) rotate(-90)`} text-anchor="middle">{up}</text>
      {children}
    </svg>
  );
}

/** How many photos have which probability; what is wrong of those is drawn upon it. */
export function Histogram({ bins, wrong, onPick }) {
  const most = Math.max(1, ...bins);
  const y = scale(0, most);
  const width = (x(1) - x(0)) / bins.length;
  const half = most / 2;
  const title = `Photos by probability in steps of ${100 / bins.length} %, from 0 to 100 %: ${bins.join(", ")}`;
  const ticks = most > 1 ? [0, half, most] : [0, 1];
  return (
    <Frame title={title} ticks={ticks} labels={ticks.map((n) => short(n))} y={y} across="probability in %" up="photos">
      {bins.map((number, at) => (
        <g key={at} class="pickable" onClick={() => onPick(at / bins.length, (at + 1) / bins.length)}>
          <rect class="touch" x={x(at / bins.length)} y={TOP} width={width} height={HEIGHT - BOTTOM - TOP} />
          <rect class="bar" x={x(at / bins.length) + 0.75} y={y(number)} width={width - 1.5} height={y(0) - y(number)} />
          {wrong && (
            <rect class="bar wrong" x={x(at / bins.length) + 0.75} y={y(wrong[at])} width={width - 1.5} height={y(0) - y(wrong[at])} />
          )}
          <title>{`${percent(at / bins.length, 0)} to ${percent((at + 1) / bins.length, 0)}: ${count(number)} photos${wrong ? `, ${count(wrong[at])} wrong` : ""}`}</title>
        </g>
      ))}
    </Frame>
  );
}

const short = (number) =>
  number >= 1e6 ? `${+(number / 1e6).toFixed(1)}M` : number >= 1e3 ? `${+(number / 1e3).toFixed(1)}k` : +number.toFixed(1);

/** A histogram as small as a word. */
export function Spark({ bins, name }) {
  const most = Math.max(1, ...bins);
  const step = 80 / bins.length;
  const path = bins
    .map((number, at) => {
      const height = number === 0 ? 0 : Math.max(1, (number / most) * 18);
      return `M${at * step} 20v${-height}h${step - 0.6}v${height}z`;
    })
    .join("");
  return (
    <svg class="spark" viewBox="0 0 80 20" role="img" aria-label={`Probabilities of ${name} in ${bins.length} steps from 0 to 100 %: ${bins.join(", ")}`}>
      <path d={path} />
      <line x1="0" x2="80" y1="20" y2="20" />
    </svg>
  );
}

/** The share that is right, by probability: on the diagonal where the model is calibrated. */
export function Reliability({ bins }) {
  const y = scale(0, 1);
  const most = Math.max(...bins.map((bin) => bin.photos));
  const words = bins.map((bin) => `${percent(bin.probability)} said, ${percent(bin.accuracy)} right of ${count(bin.photos)}`);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return (
    <Frame title={`Reliability: ${words.join("; ")}`} ticks={ticks} labels={ticks.map((t) => t * 100)} y={y} across="probability in %" up="right in %">
      <line class="ideal" x1={x(0)} y1={y(0)} x2={x(1)} y2={y(1)} />
      <polyline class="curve" points={bins.map((bin) => `${x(bin.probability)},${y(bin.accuracy)}`).join(" ")} />
      {bins.map((bin, at) => (
        <circle class="dot" key={at} cx={x(bin.probability)} cy={y(bin.accuracy)} r={2 + 4 * Math.sqrt(bin.photos / most)}>
          <title>{words[at]}</title>
        </circle>
      ))}
    </Frame>
  );
}

/** What share is right if only the surest photos are taken. */
export function Coverage({ curve, marks }) {
  const lowest = Math.min(...curve.map((point) => point.accuracy));
  const low = Math.min(0.98, Math.floor(lowest * 20) / 20);
  const y = scale(low, 1);
  const ticks = [0, 1, 2, 3, 4].map((step) => low + ((1 - low) * step) / 4);
  const last = curve[curve.length - 1];
  const title = `Coverage: of all photos ${percent(last.accuracy)} are right, of the surest half ${percent(nearest(curve, 0.5).accuracy)}`;
  return (
    <Frame title={title} ticks={ticks} labels={ticks.map((t) => +(t * 100).toFixed(2))} y={y} across="photos taken, the surest first, in %" up="right in %">
      <polyline class="curve" points={curve.map((point) => `${x(point.coverage)},${y(point.accuracy)}`).join(" ")} />
      {marks.filter((mark) => mark.min_probability !== null).map((mark) => (
        <circle class="dot" key={mark.accuracy} cx={x(mark.coverage)} cy={y(nearest(curve, mark.coverage).accuracy)} r="3.5">
          <title>{`${percent(mark.accuracy)} are right from a probability of ${percent(mark.min_probability, 2)} on: ${percent(mark.coverage)} of the photos`}</title>
        </circle>
      ))}
    </Frame>
  );
}

const nearest = (curve, coverage) =>
  curve.reduce((a, b) => (Math.abs(b.coverage - coverage) < Math.abs(a.coverage - coverage) ? b : a));
