# The trainer in a container. Built from the repository's root:
#   docker build -f docker/trainer.Dockerfile -t agentrl-trainer .
#   docker run --rm -v "$PWD/runs:/workspace/runs" agentrl-trainer train --env webshop
ARG BASE=python:3.11-slim
FROM ${BASE}

# Extra arguments for pip, for example "--extra-index-url ..." with PyTorch's index for CPUs.
ARG PIP_FLAGS=""
WORKDIR /opt/agentrl

# torch first and alone: its layer is the largest and changes least.
COPY constraints.txt ./
RUN python -m pip install --no-cache-dir ${PIP_FLAGS} -c constraints.txt "$(grep '^torch==' constraints.txt)"

# For the better tier of sandboxes, where the container may make namespaces (docs/sandboxes.md).
RUN if command -v apt-get >/dev/null; then \
    apt-get -q update && apt-get -qy install --no-install-recommends bubblewrap && rm -rf /var/lib/apt/lists/*; fi

COPY pyproject.toml README.md LICENSE ./
COPY agentrl agentrl
COPY envs envs
COPY sandboxes sandboxes
RUN python -m pip install --no-cache-dir ${PIP_FLAGS} -c constraints.txt '.[remote,docker,math]' \
    && useradd --create-home --uid 1000 trainer && mkdir -p /workspace/runs && chown -R trainer /workspace

USER trainer
WORKDIR /workspace
ENTRYPOINT ["agentrl"]
CMD ["--help"]
