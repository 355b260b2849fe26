"""Makes what every test starts from, and writes clouds.yaml and lab.json.

Two projects, an account for each way to be let in or refused, flavours, an image and a network. Servers are the tests' own.
"""
import hashlib
import json
import os

import openstack

url = os.environ['AUTH_URL']
password = os.environ['LAB_PASSWORD']
state = os.environ['HOLDFAST_OPENSTACK_STATE']

# Name in clouds.yaml: user, project.
CLOUDS = {
    'lab': ('lab', 'lab'),
    'lab-reader': ('lab-reader', 'lab'),
    'lab-trustee': ('lab-trustee', 'other'),
    'lab-admin': ('admin', 'admin'),
}
CLOUD = """\
  {cloud}:
    region_name: RegionOne
    identity_api_version: 3
    auth:
      auth_url: {url}
      username: {user}
      password: {password}
      project_name: {project}
      user_domain_name: Default
      project_domain_name: Default
"""


def connect(user, project):
    return openstack.connect(
        load_yaml_config=False, load_envvars=False, region_name='RegionOne',
        auth=dict(auth_url=url, username=user, password=password, project_name=project,
                  user_domain_id='default', project_domain_id='default'))


def write(name, text):
    path = os.path.join(state, name)
    with open(os.open(path + '.new', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as out:
        out.write(text)
    os.rename(path + '.new', path)


def main():
    admin = connect('admin', 'admin')
    identity = admin.identity
    roles = {role.name: role for role in identity.roles()}
    projects = {name: identity.find_project(name) or identity.create_project(name=name, domain_id='default')
                for name in ('lab', 'other')}
    # The trustee has a project of its own: without one it could not list the catalog of the trust's.
    for name, project, role in ('lab', 'lab', 'member'), ('lab-reader', 'lab', 'reader'), ('lab-trustee', 'other', 'member'):
        user = identity.find_user(name) or identity.create_user(
            name=name, domain_id='default', password=password, default_project_id=projects[project].id)
        identity.assign_project_role_to_user(projects[project], user, roles[role])

    flavours = {}
    for name, disk in ('lab.tiny', 1), ('lab.small', 2), ('lab.volume', 0):
        found = admin.compute.find_flavor(name) or admin.compute.create_flavor(name=name, ram=64, vcpus=1, disk=disk)
        flavours[name] = found.id
    # Bytes that are the same each time and do not compress.
    image = admin.image.find_image('lab-image') or admin.image.create_image(
        name='lab-image', data=hashlib.shake_256(b'openstack-lab').digest(1 << 20), disk_format='raw',
        container_format='bare', visibility='public', allow_duplicates=True)

    lab = connect('lab', 'lab')
    network = lab.network.find_network('lab-net')
    if not network:
        network = lab.network.create_network(name='lab-net')
        lab.network.create_subnet(name='lab-subnet', network_id=network.id, ip_version=4, cidr='198.18.0.0/22')

    write('clouds.yaml', 'clouds:\n' + ''.join(
        CLOUD.format(cloud=cloud, url=url, user=user, password=password, project=project)
        for cloud, (user, project) in CLOUDS.items()))
    write('lab.json', json.dumps({
        'auth_url': url,
        'password': password,
        'clouds': {cloud: {'user': user, 'project': project} for cloud, (user, project) in CLOUDS.items()},
        'projects': {name: project.id for name, project in projects.items()},
        'ports': {name: int(os.environ[name.upper() + '_PORT'])
                  for name in ('keystone', 'nova', 'glance', 'cinder', 'neutron', 'placement')},
        'image': image.id,
        'network': network.id,
        'flavours': flavours,
    }, indent=1))


if __name__ == '__main__':
    main()
