"""AWS list prices, and what has to be assumed where the embedded AWS cannot tell. In dollars, us-east-1, as of November 2026.

To price another region, change the figures here.
"""

from __future__ import annotations

HTTP_API_REQUEST = 1.00e-6
LAMBDA_REQUEST = 0.20e-6
LAMBDA_GB_SECOND = 0.0000133334
"""arm64."""
SQS_REQUEST = 0.40e-6
"""Standard queue; ours are all under 64 KB."""
WRITE_UNIT = 0.625e-6
READ_UNIT = 0.125e-6
S3_PUT = 5.00e-6
LOGS_BYTE = 0.50e-9
SECRET_MONTH = 0.40
ALARM_MONTH = 0.10
KEY_MONTH = 1.00
MINUTES_A_MONTH = 43_800
IDLE_POLLS_A_MINUTE = 15
"""Of a queue that feeds a function: five long polls of twenty seconds each, also while there is nothing to take."""

MEMORY_GB = 0.5
CPU_SHARE = 512 / 1769
"""Of a core, at this memory. A function's CPU time takes so much longer on Lambda."""
SECONDS_A_CALL = {"dynamodb": 0.005, "sqs": 0.008, "s3": 0.030, "secretsmanager": 0.020}
"""Assumed, of waiting for AWS's answer."""
ESP_SECONDS = 0.150
"""Assumed, of waiting for the ESP to take one message."""
CRM_SECONDS = 0.500
"""Assumed, of waiting for the CRM to take one batch."""
ACCESS_LOG_BYTES = 326
"""Of one line of the HTTP API's access log, in its format in infra/api.py."""
