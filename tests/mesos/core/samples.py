"""Events as a real Mesos 1.11 wrote them (ids shortened), and messages of every kind that hypothesis can vary."""

from __future__ import annotations

SUBSCRIBED = b"""{"type":"SUBSCRIBED","subscribed":{"framework_id":{"value":"25508bd2-0000"},
"heartbeat_interval_seconds":15.0,"master_info":{"id":"25508bd2","ip":16777343,"port":15050,
"pid":"master@127.0.0.1:15050","hostname":"127.0.0.1","version":"1.11.0","address":{"hostname":"127.0.0.1",
"ip":"127.0.0.1","port":15050},"capabilities":[{"type":"AGENT_UPDATE"},{"type":"AGENT_DRAINING"},{}]}}}"""

OFFERS = b"""{"type":"OFFERS","offers":{"offers":[{"id":{"value":"25508bd2-O0"},"framework_id":
{"value":"25508bd2-0000"},"agent_id":{"value":"25508bd2-S1"},"hostname":"agent1","url":{"scheme":"http","address":{"hostname":"agent1",
"ip":"127.0.0.1","port":15052},"path":"/slave(1)"},"resources":[{"name":"ports","type":"RANGES","ranges":{"range":
[{"begin":31102,"end":31199}]},"allocation_info":{"role":"*"}},{"name":"cpus","type":"SCALAR","scalar":{"value":3.4},
"allocation_info":{"role":"*"}}],"attributes":[{"name":"host","type":"TEXT","text":{"value":"agent1"}},{"name":"rack",
"type":"TEXT","text":{"value":"r1"}}],"executor_ids":[{"value":"ex"}],"allocation_info":{"role":"*"}}]}}"""

UPDATE = b"""{"type":"UPDATE","update":{"status":{"task_id":{"value":"t1"},"state":"TASK_RUNNING","message":"pid 3299",
"source":"SOURCE_EXECUTOR","data":"L3RtcC93","agent_id":{"value":"25508bd2-S1"},"executor_id":{"value":"ex"},
"timestamp":1795689915.6972754,"uuid":"zzkBLyEDQiKDsf2I94pZaA==","container_status":{"container_id":{"value":
"da7d0adf-d9f1-4c54-8bea-7e22270888a1"},"network_infos":[{"ip_addresses":[{"protocol":"IPv4","ip_address":
"127.0.0.1"}]}],"executor_pid":3297}}}}"""

HEARTBEAT = b'{"type":"HEARTBEAT"}'

REAL = [SUBSCRIBED, OFFERS, UPDATE, HEARTBEAT]
