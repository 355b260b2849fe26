"""Fills Keystone's catalog; with --wait, waits until every worker has reported in."""
import os
import sys
import time

import openstack


def port(name):
    return os.environ[name + '_PORT']


password = os.environ['LAB_PASSWORD']
cloud = openstack.connect(
    load_yaml_config=False, load_envvars=False, region_name='RegionOne',
    auth=dict(auth_url=os.environ['AUTH_URL'], username='admin', password=password, project_name='admin',
              user_domain_id='default', project_domain_id='default'))

SERVICES = [
    ('glance', 'image', 'http://127.0.0.1:' + port('GLANCE')),
    ('placement', 'placement', 'http://127.0.0.1:' + port('PLACEMENT')),
    ('neutron', 'network', 'http://127.0.0.1:' + port('NEUTRON')),
    ('nova', 'compute', f'http://127.0.0.1:{port("NOVA")}/v2.1'),
    ('cinderv3', 'volumev3', f'http://127.0.0.1:{port("CINDER")}/v3/$(project_id)s'),
]
WORKERS = {'nova-conductor', 'nova-scheduler', 'nova-compute', 'cinder-scheduler', 'cinder-volume'}


def fill():
    identity = cloud.identity
    roles = {role.name: role for role in identity.roles()}
    if 'service' not in roles:
        roles['service'] = identity.create_role(name='service')
    project = identity.find_project('service') or identity.create_project(name='service', domain_id='default')
    user = identity.find_user('service') or identity.create_user(name='service', domain_id='default', password=password)
    for role in 'admin', 'service':
        identity.assign_project_role_to_user(project, user, roles[role])
    known = {service.type for service in identity.services()}
    for name, kind, url in SERVICES:
        if kind in known:
            continue
        service = identity.create_service(name=name, type=kind)
        for interface in 'public', 'internal', 'admin':
            identity.create_endpoint(service_id=service.id, url=url, interface=interface, region_id='RegionOne')


def missing():
    up = set()
    for api in cloud.compute, cloud.block_storage:
        up |= {service['binary'] for service in api.get('/os-services').json()['services'] if service['state'] == 'up'}
    cloud.image.get('/images').raise_for_status()
    # Neutron's first list of ports fails unless another query was there before it.
    cloud.network.get('/networks').raise_for_status()
    cloud.network.get('/ports').raise_for_status()
    found = WORKERS - up
    if not cloud.placement.get('/resource_providers').json()['resource_providers']:
        found.add('a resource provider')
    # Until the scheduler has heard of a place for volumes, it refuses each.
    if not cloud.block_storage.get('/scheduler-stats/get_pools').json()['pools']:
        found.add('a pool for volumes')
    return found


def wait(seconds=300):
    until = time.monotonic() + seconds
    while True:
        try:
            left = missing()
        except Exception as error:
            left = {str(error)}
        if not left:
            return 0
        if time.monotonic() > until:
            print('not up: ' + ', '.join(sorted(left)), file=sys.stderr)
            return 1
        time.sleep(1)


if sys.argv[1:] == ['--wait']:
    sys.exit(wait())
fill()
