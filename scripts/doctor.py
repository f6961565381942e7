"""Check config, machine and data: python scripts/doctor.py -cn=deepspeech2 data_dir=PATH"""

from deepspeech2.config.command_line import run

if __name__ == "__main__":
    run("deepspeech2.commands.doctor:doctor", "deepspeech2", check=False)
