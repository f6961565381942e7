// Hands the microphone's samples on, a tenth of a second at a time.
class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.held = [];
    this.count = 0;
  }

  process(inputs) {
    const channels = inputs[0];
    if (!channels.length) return true;
    this.held.push(channels[0].slice());
    this.count += channels[0].length;
    if (this.count >= sampleRate / 10) {
      const samples = new Int16Array(this.count);
      let place = 0;
      for (const part of this.held) {
        for (const value of part) samples[place++] = Math.max(-1, Math.min(1, value)) * 32767;
      }
      this.port.postMessage(samples, [samples.buffer]);
      this.held = [];
      this.count = 0;
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
