"""Helpers of the course: what a lesson needs and what teaches nothing by itself.

Importing the package loads nothing heavy. It only sets the defaults that have to be in
place before the libraries are imported: one thread, no look-ups on the network, quiet.
"""

import os

_DEFAULTS = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait do not keep others from working
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "ANONYMIZED_TELEMETRY": "False",
}
if os.environ.get("LABS_PROFILE", "tiny") == "tiny":
    _DEFAULTS["HF_HUB_OFFLINE"] = "1"
for _name, _value in _DEFAULTS.items():
    os.environ.setdefault(_name, _value)
