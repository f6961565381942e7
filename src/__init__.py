"""DeepSpeech2: train it, transcribe with it, score the transcripts."""
