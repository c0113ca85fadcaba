// The photos as a grid, of which only the rows in sight are drawn.
import { Virtualizer, defaultRangeExtractor, observeWindowOffset, observeWindowRect, windowScroll } from "@tanstack/virtual-core";
import { Component } from "preact";
import { useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import { data } from "./data.js";
import { corrections, useCorrections } from "./corrections.js";
import { Caption, Picture } from "./photo.jsx";
import { fileName, visible } from "./text.js";

const GAP = 10;
const CAPTION = 64;
const SMALLEST = 132;
const WIDEST = Math.max(SMALLEST, Math.min(data.thumbnails ?? 0, 240) + 2);

/** A virtual list of the window, drawn anew as it scrolls. */
function useRows(options) {
  const [, redraw] = useReducer((number) => number + 1, 0);
  const resolved = {
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    getScrollElement: () => window,
    initialOffset: () => window.scrollY,
    onChange: redraw,
    overscan: 2,
    ...options,
  };
  const [list] = useState(() => new Virtualizer(resolved));
  list.setOptions(resolved);
  useLayoutEffect(() => list._didMount(), []);
  useLayoutEffect(() => list._willUpdate());
  return list;
}

/** The width of an element and how far it is from the top of the page, whatever changes them. */
function useRoom(element) {
  const [room, setRoom] = useState({ width: 0, top: 0 });
  useLayoutEffect(() => {
    const measure = () => {
      const rect = element.current.getBoundingClientRect();
      const next = { width: Math.floor(rect.width), top: Math.round(rect.top + window.scrollY) };
      setRoom((room) => (room.width === next.width && room.top === next.top ? room : next));
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(document.body);
    return () => observer.disconnect();
  }, []);
  return room;
}

export function Grid({ photos, active, setActive, onOpen, onKey, focus }) {
  useCorrections();
  const body = useRef();
  const { width, top } = useRoom(body);
  const columns = Math.max(2, Math.floor((width + GAP) / ((width < 480 ? SMALLEST : WIDEST) + GAP)));
  const side = Math.max(40, Math.floor((width - GAP * (columns - 1)) / columns));
  const height = side + CAPTION;
  const activeRow = Math.floor(active / columns);
  const list = useRows({
    count: width === 0 ? 0 : Math.ceil(photos.length / columns),
    estimateSize: () => height + GAP,
    scrollMargin: top,
    rangeExtractor: (range) => {
      const rows = defaultRangeExtractor(range);
      return rows.includes(activeRow) || activeRow >= range.count ? rows : [...rows, activeRow].sort((a, b) => a - b);
    },
  });
  useLayoutEffect(() => list.measure(), [height, columns]);
  useLayoutEffect(() => {
    if (!focus.current) return;
    const button = body.current.querySelector(`[data-photo="${active}"]`);
    if (!button) return;
    focus.current = false;
    button.focus({ preventScroll: true });
    button.scrollIntoView({ block: "nearest" });
  });
  const move = (event) => {
    const page = Math.max(1, Math.floor(window.innerHeight / (height + GAP)) - 1) * columns;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page, PageDown: page, Home: -photos.length, End: photos.length }[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return onKey(event);
    event.preventDefault();
    const next = Math.min(photos.length - 1, Math.max(0, active + step));
    focus.current = true;
    setActive(next);
  };
  return (
    <div class="grid" role="list" aria-label="Photos" ref={body} style={{ height: `${list.getTotalSize()}px` }} onKeyDown={move}
      onKeyUp={(event) => event.key === " " && event.preventDefault()}>
      {list.getVirtualItems().map(({ key, index, start }) => (
        <Row key={key} photos={photos} first={index * columns} columns={columns} top={start - top} side={side} steps={corrections.steps}
          active={index === activeRow ? active : -1} setActive={setActive} onOpen={onOpen} />
      ))}
    </div>
  );
}

/** One row, which is left as it is while others come into sight. */
class Row extends Component {
  shouldComponentUpdate(next) {
    return Object.keys(next).some((key) => next[key] !== this.props[key]);
  }

  render({ photos, first, columns, top, side, active, setActive, onOpen }) {
    const style = {
      transform: `translateY(${top}px)`,
      height: `${side + CAPTION}px`,
      gridTemplateColumns: `repeat(${columns}, 1fr)`,
    };
    return (
      <div class="row" role="presentation" style={style}>
        {photos.slice(first, first + columns).map((photo, column) => {
          const at = first + column;
          return (
            <div role="listitem" key={photo.number} aria-posinset={at + 1} aria-setsize={photos.length}>
              <button type="button" class="card" data-photo={at} tabIndex={at === active ? 0 : -1} title={visible(photo.path)}
                onFocus={() => setActive(at)} onClick={() => onOpen(at)}>
                <span class="picture" style={{ height: `${side - 2}px` }}><Picture photo={photo} /></span>
                <Caption photo={photo} corrected={corrections.get(photo)} />
                <bdi class="file">{visible(fileName(photo.path))}</bdi>
              </button>
            </div>
          );
        })}
      </div>
    );
  }
}
