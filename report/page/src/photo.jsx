// One photo: what is seen of it, and what is said of it in words.
import { className, code, data, isWrong, probability, said } from "./data.js";
import { percent, visible } from "./text.js";

export function Picture({ photo, large = false }) {
  if (photo.error !== undefined) return <Placeholder title="unreadable" text={photo.error} />;
  if (photo.thumbnail) return <img src={`data:image/webp;base64,${photo.thumbnail}`} alt="" decoding="async" draggable={false} />;
  if (photo.not_seen) return <Placeholder title="cannot be shown" text={photo.not_seen} />;
  return <Placeholder title={data.thumbnails ? "not shown" : "no thumbnail"} text="" />;
}

const Placeholder = ({ title, text }) => (
  <span class="placeholder">
    <b>{title}</b>
    {text && <span>{visible(text)}</span>}
  </span>
);

/** What a photo is said to be, and what it is; read aloud as it stands. */
export function Caption({ photo, corrected }) {
  const at = said(photo);
  return (
    <span class="caption">
      {at === undefined ? (
        <span class="line"><span class="name">{code(photo)}</span></span>
      ) : (
        <span class="line"><bdi class="name">{visible(className(at))}</bdi><span class="number">{percent(probability(photo))}</span></span>
      )}
      {corrected !== undefined ? (
        <span class="line mark corrected"><span aria-hidden="true">{"\u2713"}</span> <bdi class="name">{corrected === className(at) ? "right" : visible(corrected)}</bdi></span>
      ) : isWrong(photo) ? (
        <span class="line mark wrong">is <bdi class="name">{visible(className(photo.truth))}</bdi></span>
      ) : (
        <span class="line mark quiet">{at === undefined ? "unreadable" : photo.truth !== undefined ? (typeof photo.truth === "number" ? "right" : `is ${visible(photo.truth)}`) : ""}</span>
      )}
    </span>
  );
}
