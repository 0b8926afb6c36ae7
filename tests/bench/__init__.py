"""The benchmark: gateways side by side against one fake provider, all on 127.0.0.1. `python -m tests.bench --help`.

Compare only figures of one run, as ratios. The main figure is the CPU time of the gateway's process tree per request or per
chunk, the minimum over rounds: neighbours can only add to it. The gateway runs on CPU 1; provider and load on CPU 0.
"""
