# An image for docker sandboxes, for machines that reach a registry (host_image.py makes one without):
#   docker build -f docker/sandbox.Dockerfile -t agentrl/sandbox docker
# Nothing of agentrl is in it: the guest agent's source travels in the command. It needs python3 and sh only.
ARG BASE=python:3.11-slim
FROM ${BASE}

# What model-written code may import, for example --build-arg PACKAGES="numpy sympy pandas".
ARG PACKAGES=""
ARG PIP_FLAGS=""
RUN if [ -n "${PACKAGES}" ]; then python3 -m pip install --no-cache-dir ${PIP_FLAGS} ${PACKAGES}; fi \
    && mkdir -p -m 1777 /sandbox

WORKDIR /sandbox
CMD ["python3"]
