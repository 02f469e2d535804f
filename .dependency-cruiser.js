// Imports go down only (docs/architecture.md). Each rule names a floor and what it may stand on.
const only = (name, from, allowed, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from },
  to: {
    path: '^(src|scaling-algorithms|host-handlers|config|test|bench|examples)/',
    pathNot: [from, ...allowed],
  },
})

export default {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    only('model-imports-nothing', '^src/model/', [], 'The ground floor.'),
    only('lib-is-small', '^src/lib/', ['^src/model/'], 'Pure of the domain, but for its error class.'),
    only(
      'algorithms-see-the-model',
      '^scaling-algorithms/',
      ['^src/model/'],
      'Pure functions of a snapshot.',
    ),
    only('handlers-see-model-and-lib', '^host-handlers/', ['^src/(model|lib)/'], 'Clouds are plugins.'),
    only('config', '^config/', ['^src/(model|lib)/'], 'Settings know nothing of who uses them.'),
    only(
      'embedded',
      '^src/embedded/',
      ['^src/(model|lib)/', '^config/'],
      'A Hasura of its own: it does not know the daemon.',
    ),
    only('hasura', '^src/hasura/', ['^src/(model|lib|store)/'], 'The one door to the database.'),
    only('store', '^src/store/', ['^src/(model|lib)/'], 'Fleet words, no transport.'),
    only(
      'reconcile',
      '^src/reconcile/',
      ['^src/(rollout|store|model|lib)/'],
      'Never sees plugins, API or transports.',
    ),
    only('rollout', '^src/rollout/', ['^src/model/'], 'A pure planner.'),
    only('event-handler', '^src/event-handler/', ['^src/(store|model|lib)/'], 'Sources of events.'),
    only('assign', '^src/assign/', ['^src/(store|model|lib)/'], 'Placement of users.'),
    only('trust', '^src/trust/', ['^src/(model|lib)/'], 'Keys, certificates and who may connect.'),
    only('backends', '^src/backends/', ['^src/(store|trust|model|lib)/'], 'What people do with backends.'),
    only('api', '^src/api/', ['^src/(assign|backends|store|trust|model|lib)/'], 'HTTP only.'),
    only(
      'manager-link',
      '^src/manager-link/',
      ['^src/(store|trust|model|lib|muster-v1)/'],
      'The daemon end of the streams.',
    ),
    only(
      'manager',
      '^src/manager/',
      ['^src/(trust|model|lib|muster-v1)/'],
      'Runs on hosts, where no daemon code belongs.',
    ),
    only(
      'simulation',
      '^src/simulation/',
      ['^src/(reconcile|event-handler|store|model|lib)/'],
      'The simulated world: plugins are handed in.',
    ),
    only('muster-v1', '^src/muster-v1/', ['^src/(model|lib)/'], 'The wire protocol.'),
    {
      name: 'only-wiring-sees-registries',
      severity: 'error',
      from: { pathNot: '^(src/wiring/|src/cli/|test/|bench/|scaling-algorithms/|host-handlers/)' },
      to: { path: '^(scaling-algorithms|host-handlers)/' },
    },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { pathNot: '^(test|bench)/' },
      to: { path: '^(test|bench)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
    },
  },
}
