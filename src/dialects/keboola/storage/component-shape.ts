import type { ComponentDefinition } from '../../../core/components/component-model.ts';

/** A component as the index and the components list show it. Go decodes `data`, schemas and emptyConfiguration as objects. */
export function toKeboolaComponent(definition: ComponentDefinition, baseUrl: string): Record<string, unknown> {
  return {
    id: definition.id,
    // The old UI finds the Syrup-era services by the `uri` of the components that stand for them.
    uri: `${baseUrl}/${definition.servicePath?.replace(/^\/+/, '') ?? `syrup/docker/${definition.id}`}`,
    type: definition.type,
    name: definition.name,
    description: definition.description,
    longDescription: definition.longDescription,
    version: 1,
    hasUI: definition.flags.includes('genericDockerUI'),
    hasRun: definition.run !== undefined,
    ico32: '',
    ico64: '',
    ico128: '',
    data: definition.data,
    flags: definition.flags,
    configurationSchema: definition.configurationSchema,
    configurationRowSchema: definition.configurationRowSchema,
    createConfigurationRowSchema: definition.createConfigurationRowSchema,
    emptyConfiguration: definition.emptyConfiguration,
    emptyConfigurationRow: definition.emptyConfigurationRow,
    configurationDescription: null,
    uiOptions: definition.uiOptions,
    documentationUrl: definition.documentationUrl,
    processorConfiguration: {},
    dataTypesConfiguration: {},
    categories: definition.categories,
    features: definition.features,
    expiredOn: null,
    complexity: null,
  };
}

/** With `exclude=componentDetails`. */
export function toBriefComponent(definition: ComponentDefinition): Record<string, unknown> {
  const { id, name, type, flags, features, description, categories } = definition;
  return { id, name, type, ico64: '', ico128: '', features, flags, description, categories };
}
