/* Is what is shown what is? A dot that says so. */
import { useLiveState } from "./hooks";

const WORDS = {
  off: ["Not live", "Events are not streamed to this page; it asks again from time to time."],
  connecting: ["Connecting", "The stream of events is being opened."],
  live: ["Live", "What happens is shown as it happens."],
  lost: ["Reconnecting", "The stream of events was lost; it is taken up again where it was."],
} as const;

export function LiveBadge() {
  const state = useLiveState();
  const [word, title] = WORDS[state];
  return (
    <span class={`live live-${state}`} role="status" title={title}>
      <span class="live-dot" aria-hidden="true" />
      <span class="live-word">{word}</span>
    </span>
  );
}
