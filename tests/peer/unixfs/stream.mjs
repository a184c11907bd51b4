// The deterministic stream that both the encoders and the tests read: a block of 1 048 573 bytes (the greatest prime below
// 1 MiB, so that no two chunks are alike) repeated for ever. The block is made by xorshift32 (shifts 13, 17, 5; seed
// 0x9e3779b9): step, then take the lowest byte of the state.

export const PERIOD = 1048573

export function block () {
  const bytes = new Uint8Array(PERIOD)
  let state = 0x9e3779b9 | 0
  for (let i = 0; i < PERIOD; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state & 0xff
  }
  return bytes
}
