"""Prints free ports and a password as lines of a shell.

The ports lie below those that the system gives to outgoing connections: none is taken away between now and its use.
"""
import random
import secrets
import socket

NAMES = ['KEYSTONE', 'GLANCE', 'PLACEMENT', 'NOVA', 'CINDER', 'NEUTRON', 'DATABASE', 'BUS', 'BUS_DIST', 'EPMD']


def free(port):
    with socket.socket() as probe:
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


with open('/proc/sys/net/ipv4/ip_local_port_range') as limits:
    lowest = int(limits.read().split()[0])
below = range(10000, lowest) if lowest > 11000 else range(10000, 65000)
ports = []
for port in random.sample(below, len(below)):
    if free(port):
        ports.append(port)
    if len(ports) == len(NAMES):
        break
for name, port in zip(NAMES, ports, strict=True):
    print(f'{name}_PORT={port}')
print(f'AUTH_URL=http://127.0.0.1:{ports[0]}/v3')
print(f'LAB_PASSWORD={secrets.token_hex(12)}')
