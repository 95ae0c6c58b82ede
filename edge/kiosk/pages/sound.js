// What a result sounds like: rising for yes, falling and twice for no, so that ears can tell.

const NOTES = {
  yes: [[660, 0, 0.14], [880, 0.13, 0.3]],
  no: [[330, 0, 0.2], [233, 0.24, 0.38]],
};
const LOUDNESS = 0.25;

let context;

/** Plays the tone of "yes" or "no"; silent for anything else, or where sound is not allowed. */
export function play(tone) {
  const notes = NOTES[tone];
  if (!notes) return;
  context ??= new AudioContext();
  context.resume().catch(() => {});
  for (const [hertz, start, length] of notes) {
    const from = context.currentTime + start;
    const note = new OscillatorNode(context, { type: "triangle", frequency: hertz });
    const volume = new GainNode(context, { gain: 0 });
    volume.gain.linearRampToValueAtTime(LOUDNESS, from + 0.02);
    volume.gain.setTargetAtTime(0, from + length * 0.6, length * 0.15);
    note.connect(volume).connect(context.destination);
    note.start(from);
    note.stop(from + length + 0.2);
  }
}
