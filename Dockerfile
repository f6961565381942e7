# The command deepspeech2 for a CPU: docker build -t deepspeech2 .
# For an NVIDIA GPU: docker build --build-arg TORCH_INDEX=https://pypi.org/simple -t deepspeech2 .
ARG PYTHON=3.13
FROM python:${PYTHON}-slim
# PyPI's torch comes with CUDA; the one here is 4 GB smaller, and pip prefers it (2.11.0+cpu)
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN useradd --create-home --uid 1000 speech
WORKDIR /app

# What the package needs changes less often than the package: a layer of its own
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    sed '/^-e/d' requirements.txt > /tmp/needed.txt \
    && pip install --extra-index-url "${TORCH_INDEX}" -r /tmp/needed.txt \
    && rm /tmp/needed.txt

# Runs and data are written below it
COPY --chown=speech . .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps -e . \
    && chown speech .

USER 1000
EXPOSE 8000
ENTRYPOINT ["deepspeech2"]
CMD ["--help"]
